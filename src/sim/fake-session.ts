import type { SessionBinding } from "../election/types.ts";
import type { Session, SessionEvent } from "../runtime/ports.ts";

/** All connections of a simulated world: who is connected, and who watches whose presence. */
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

export class FakeSession implements Session {
  readonly #connections: FakeConnections;
  readonly #presence: boolean;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #binding: SessionBinding | null;
  #watched: string | null = null;

  constructor(connections: FakeConnections, presence = false) {
    this.#connections = connections;
    this.#presence = presence;
    this.#binding = connections.connect(presence);
    connections.sessions.add(this);
  }

  get connected(): boolean {
    return this.#binding !== null;
  }

  get binding(): SessionBinding | null {
    return this.#binding;
  }

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async confirmDeath(binding: SessionBinding): Promise<boolean> {
    return this.connected && !this.#connections.open.has(binding.clientId);
  }

  watchPresence(presence: string | null): void {
    this.#watched = presence;
  }

  hearOf(presence: string): void {
    if (this.connected && presence === this.#watched) this.#tell({ type: "presence-lost", presence });
  }

  /** The connection breaks; both sides notice. */
  disconnect(): void {
    const binding = this.#binding;
    if (binding === null) return;
    this.#binding = null;
    this.#tell({ type: "disconnected", error: null });
    this.#connections.close(binding);
  }

  reconnect(): void {
    if (this.#binding !== null) return;
    this.#binding = this.#connections.connect(this.#presence);
    this.#tell({ type: "connected", binding: this.#binding });
  }

  /** The process is killed: nobody is told here, the server closes the connection. */
  kill(): void {
    const binding = this.#binding;
    this.#binding = null;
    this.#listeners.clear();
    this.#connections.sessions.delete(this);
    if (binding !== null) this.#connections.close(binding);
  }

  #tell(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
