import type { Instant } from "../../../election/time.ts";
import type { SessionBinding } from "../../../election/types.ts";
import type { Session, SessionEvent } from "../../../runtime/ports.ts";
import type { VirtualClock } from "../time/virtual-clock.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { Network } from "./network.ts";

/** Latency of an advisory, one way. */
const ADVISORY_MS = 1;
const SERVER_ID = "server";

/** All connections of a simulated world as the server sees them. Distributes the advisories about presence consumers. */
export class FakeConnections {
  readonly time: VirtualTime;
  readonly open: Set<number> = new Set();
  readonly sessions: Set<FakeSession> = new Set();
  #nextClientId = 1;

  constructor(time: VirtualTime) {
    this.time = time;
  }

  connect(presence: boolean): SessionBinding {
    const clientId = this.#nextClientId++;
    this.open.add(clientId);
    return {
      serverId: SERVER_ID,
      clientId,
      ...(presence ? { presence: `stream.presence-${clientId}` } : {}),
    };
  }

  /** The server notices that a connection is closed and deletes its presence consumer. */
  close(binding: SessionBinding): void {
    this.open.delete(binding.clientId);
    if (binding.presence !== undefined) this.advise(binding.presence);
  }

  /** Announces the deletion of a presence consumer: a suspicion, true or false. */
  advise(presence: string): void {
    for (const session of this.sessions) session.receiveAdvisory(presence);
  }
}

export interface FakeSessionOptions {
  /** The connection has a presence consumer. */
  readonly presence?: boolean;
  /** Clock of the process; messages wait while it is stopped. Default: a process that always runs. */
  readonly clock?: VirtualClock;
  /** What happens to requests and responses. Default: nothing is lost. */
  readonly network?: Network;
}

/** The connection of one process. The process learns later than the server that it is closed, for example while stopped. */
export class FakeSession implements Session {
  readonly #connections: FakeConnections;
  readonly #presence: boolean;
  readonly #clock: VirtualClock | null;
  readonly #network: Network | null;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #binding: SessionBinding | null;
  #link: SessionBinding | null;
  #watched: string | null = null;
  /** When the connection was lost, even if the process has not noticed yet; `null` while it is open. */
  lostAt: number | null = null;
  /** Other messages waited in the socket when the connection was lost: the process notices once it has read them. */
  lostUnread = false;
  #stalledUntil = Number.NEGATIVE_INFINITY;
  /** The process has noticed the end of its last connection. */
  #noticed = true;
  #reconnects = false;

  constructor(connections: FakeConnections, options: FakeSessionOptions = {}) {
    this.#connections = connections;
    this.#presence = options.presence ?? false;
    this.#clock = options.clock ?? null;
    this.#network = options.network ?? null;
    this.#binding = connections.connect(this.#presence);
    this.#link = this.#binding;
    connections.sessions.add(this);
  }

  get connected(): boolean {
    return this.#binding !== null;
  }

  /** The connection as the process sees it. */
  get binding(): SessionBinding | null {
    return this.#binding;
  }

  /** The connection as it really is. */
  get link(): SessionBinding | null {
    return this.#link;
  }

  /** Number of listeners. */
  get listeners(): number {
    return this.#listeners.size;
  }

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  confirmDeath(binding: SessionBinding, timeoutMs: number): PromiseLike<boolean> {
    const { time, open } = this.#connections;
    const link = this.#link;
    const oneWayMs = this.#network?.latencyMs ?? ADVISORY_MS;
    return time.answer<boolean>((resolve) => {
      const answer = (dead: boolean): void => this.arrive(() => resolve(dead));
      time.after(timeoutMs, () => answer(false));
      if (link === null || this.#network?.dropRequests === true) return;
      time.after(oneWayMs, () => {
        // As the real session: only for a holder with presence, and only the server that held its connection.
        const gone =
          binding.serverId === SERVER_ID && binding.presence !== undefined && !open.has(binding.clientId);
        time.after(oneWayMs, () => {
          if (this.#link !== link || this.#network?.dropResponses === true) return;
          answer(gone);
        });
      });
    });
  }

  roundTrip(now: Instant): PromiseLike<Instant | null> {
    const { time } = this.#connections;
    const link = this.#link;
    const oneWayMs = this.#network?.latencyMs ?? ADVISORY_MS;
    return time.answer<Instant | null>((resolve) => {
      if (link === null || this.#network?.dropRequests === true) return;
      time.after(oneWayMs, () => {
        if (this.#link !== link || this.#network?.dropResponses === true) return;
        time.after(oneWayMs, () => {
          if (this.#link === link) this.arrive(() => resolve(now));
        });
      });
    });
  }

  /** From now on what arrives waits in the socket of the process, for `ms`: it has much else to read. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#connections.time.now + ms);
  }

  /** Something has arrived at the socket of the process. */
  arrive(run: () => void): void {
    const { time } = this.#connections;
    if (time.now >= this.#stalledUntil) return this.#deliver(run);
    time.at(this.#stalledUntil, () => this.#deliver(run));
  }

  get isStalled(): boolean {
    return this.#connections.time.now < this.#stalledUntil;
  }

  watchPresence(presence: string | null): void {
    this.#watched = presence;
  }

  /** The advisory that a presence consumer was deleted. */
  receiveAdvisory(presence: string): void {
    const link = this.#link;
    this.#connections.time.after(ADVISORY_MS, () => {
      if (this.#link === null || this.#link !== link || this.#network?.dropResponses === true) return;
      this.arrive(() => {
        if (presence === this.#watched) this.#emit({ type: "presence-lost", presence });
      });
    });
  }

  /** The connection breaks. The process notices as soon as it runs, the server at once. */
  disconnect(): void {
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    this.lostAt = this.#connections.time.now;
    this.lostUnread = this.isStalled;
    this.#noticed = false;
    this.#reconnects = false;
    this.arrive(() => {
      this.#noticed = true;
      this.#binding = null;
      this.#emit({ type: "disconnected", error: null });
      if (this.#reconnects) this.reconnect();
    });
    this.#connections.close(link);
  }

  /** A process that has not noticed the end of its connection reconnects once it has. */
  reconnect(): void {
    if (this.#link !== null || !this.#connections.sessions.has(this)) return;
    if (this.lostUnread && !this.#noticed) {
      this.#reconnects = true;
      return;
    }
    const link = this.#connections.connect(this.#presence);
    this.#link = link;
    this.lostAt = null;
    this.lostUnread = false;
    this.#deliver(() => {
      this.#binding = link;
      this.#emit({ type: "connected", binding: link });
    });
  }

  /**
   * The process is killed: no event is emitted, the server closes the connection. With `lingerMs` the host is lost, too: no
   * FIN is sent, and the server closes the connection only `lingerMs` later.
   */
  kill(lingerMs = 0): void {
    const link = this.#link;
    this.#binding = null;
    this.#link = null;
    this.#listeners.clear();
    this.#connections.sessions.delete(this);
    if (link === null) return;
    if (lingerMs === 0) this.#connections.close(link);
    else this.#connections.time.after(lingerMs, () => this.#connections.close(link));
  }

  #deliver(run: () => void): void {
    if (this.#clock === null) run();
    else this.#clock.deliver(run);
  }

  #emit(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
