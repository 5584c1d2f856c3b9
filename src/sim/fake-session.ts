import type { SessionBinding } from "../election/types.ts";
import type { Session, SessionEvent } from "../runtime/ports.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** All connections of a simulated world as the server sees them: which are open, and who hears of whose end. */
export class FakeConnections {
  #nextClientId = 1;
  readonly open: Set<number> = new Set();
  readonly sessions: Set<FakeSession> = new Set();

  connect(presence: boolean): SessionBinding {
    const clientId = this.#nextClientId++;
    this.open.add(clientId);
    return { serverId: "server", clientId, ...(presence ? { presence: `stream.presence-${clientId}` } : {}) };
  }

  /** The server notices that a connection is gone and deletes its presence consumer. */
  close(binding: SessionBinding): void {
    this.open.delete(binding.clientId);
    if (binding.presence !== undefined) this.advise(binding.presence);
  }

  /** A presence consumer is deleted, for whatever reason: a suspicion, true or false. */
  advise(presence: string): void {
    for (const session of this.sessions) session.hearOf(presence);
  }
}

/** One process' connection. What the process knows of it may be behind what the server knows: it may be stopped. */
export class FakeSession implements Session {
  readonly #connections: FakeConnections;
  readonly #presence: boolean;
  readonly #clock: VirtualClock | null;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #binding: SessionBinding | null;
  #link: SessionBinding | null;
  #watched: string | null = null;

  constructor(connections: FakeConnections, presence = false, clock: VirtualClock | null = null) {
    this.#connections = connections;
    this.#presence = presence;
    this.#clock = clock;
    this.#binding = connections.connect(presence);
    this.#link = this.#binding;
    connections.sessions.add(this);
  }

  get connected(): boolean {
    return this.#binding !== null;
  }

  /** As far as the process knows. */
  get binding(): SessionBinding | null {
    return this.#binding;
  }

  /** The connection as it really is. */
  get link(): SessionBinding | null {
    return this.#link;
  }

  /** How many listen to it. */
  get listeners(): number {
    return this.#listeners.size;
  }

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async confirmDeath(binding: SessionBinding): Promise<boolean> {
    return this.#link !== null && !this.#connections.open.has(binding.clientId);
  }

  watchPresence(presence: string | null): void {
    this.#watched = presence;
  }

  hearOf(presence: string): void {
    if (this.#link === null) return;
    this.#deliver(() => {
      if (presence === this.#watched) this.#tell({ type: "presence-lost", presence });
    });
  }

  /** The connection breaks: the process notices as soon as it runs, then the server does. */
  disconnect(): void {
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    this.#deliver(() => {
      this.#binding = null;
      this.#tell({ type: "disconnected", error: null });
    });
    this.#connections.close(link);
  }

  reconnect(): void {
    if (this.#link !== null) return;
    const link = this.#connections.connect(this.#presence);
    this.#link = link;
    this.#deliver(() => {
      this.#binding = link;
      this.#tell({ type: "connected", binding: link });
    });
  }

  /** The process is killed: nobody is told here, the server closes the connection. */
  kill(): void {
    const link = this.#link;
    this.#binding = null;
    this.#link = null;
    this.#listeners.clear();
    this.#connections.sessions.delete(this);
    if (link !== null) this.#connections.close(link);
  }

  #deliver(run: () => void): void {
    if (this.#clock === null) run();
    else this.#clock.deliver(run);
  }

  #tell(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
