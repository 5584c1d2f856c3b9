/** Sessions on the simulator's connections. */
import type { SessionBinding } from "../../../src/election/types.ts";
import { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../../src/testing/simulation/fakes/fake-session.ts";
import { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { confirmsDeath, watchPresence } from "../../shared/presence-questions.ts";
import { ASKERS, type Asker, type Holder, type SessionStep, type Twist } from "./session-script.ts";

const SOON_MS = 20;
const ANSWER_MS = 50;

/** Sessions on the fake or on a real server. */
export interface SessionWorld {
  run(step: SessionStep): Promise<string>;
  seen(asker: Asker): readonly string[];
  close(): Promise<void>;
}

/** Parts that a deliberately wrong fake replaces. */
export interface SessionParts {
  readonly session?: (connections: FakeConnections, presence: boolean) => FakeSession;
}

export function twisted(binding: SessionBinding, twist: Twist): SessionBinding {
  switch (twist) {
    case "as it was":
      return binding;
    case "of another server":
      return { ...binding, serverId: "NANOTHER" };
    case "without presence":
      return { serverId: binding.serverId, clientId: binding.clientId };
    case "of no connection":
      return { ...binding, clientId: 9_999_999 };
    default:
      return twist satisfies never;
  }
}

export class FakeSessionWorld implements SessionWorld {
  readonly #time = new VirtualTime();
  readonly #connections = new FakeConnections(this.#time);
  readonly #make: (presence: boolean) => FakeSession;
  readonly #holders = new Map<Holder, FakeSession>();
  readonly #askers: Readonly<Record<Asker, FakeSession>>;
  readonly #seen: Readonly<Record<Asker, string[]>> = { p: [], q: [] };
  readonly #bindings: SessionBinding[] = [];
  readonly #watched: Record<Asker, SessionBinding | null> = { p: null, q: null };

  constructor(parts: SessionParts = {}) {
    this.#make = (presence) =>
      parts.session?.(this.#connections, presence) ?? new FakeSession(this.#connections, { presence });
    this.#askers = { p: this.#make(false), q: this.#make(false) };
    for (const asker of ASKERS) {
      this.#askers[asker].listen((event) => {
        if (event.type !== "presence-lost") return;
        const found = this.#bindings.findIndex(({ presence }) => presence === event.presence);
        this.#seen[asker].push(`the presence of binding ${found} is lost`);
      });
    }
  }

  seen(asker: Asker): readonly string[] {
    return this.#seen[asker];
  }

  async close(): Promise<void> {}

  async run(step: SessionStep): Promise<string> {
    const line = await this.#run(step);
    await this.#time.advance(SOON_MS);
    return line;
  }

  async #run(step: SessionStep): Promise<string> {
    switch (step.do) {
      case "watch": {
        const binding = step.binding === null ? null : this.#binding(step.binding);
        this.#watched[step.asker] = binding;
        watchPresence(this.#askers[step.asker], binding?.presence ?? null);
        return "done";
      }
      case "ask": {
        const binding = twisted(this.#binding(step.binding), step.twist);
        const answer = confirmsDeath(this.#askers[step.asker], binding, ANSWER_MS);
        await this.#time.advance(ANSWER_MS + SOON_MS);
        return (await answer) ? "gone" : "not gone";
      }
      case "asker-drops":
        this.#askers[step.asker].disconnect();
        return "done";
      case "asker-returns":
        this.#askers[step.asker].reconnect();
        return "done";
      default:
        await this.#hold(step.do, step.holder);
        return "done";
    }
  }

  async #hold(what: Extract<SessionStep, { holder: Holder }>["do"], holder: Holder): Promise<void> {
    const session = this.#holders.get(holder) ?? this.#make(true);
    this.#holders.set(holder, session);
    if (what === "cut" || what === "drop") session.disconnect();
    if (what === "cut" || what === "return") session.reconnect();
    if (what === "start" || what === "cut" || what === "return") this.#bindings.push(boundOf(session));
    if (what === "release" || what === "delete-consumer") {
      const { presence = "" } = boundOf(session);
      this.#connections.advise(presence);
      await this.#time.advance(SOON_MS);
      // Its next consumer, if any, has another name.
      for (const asker of ASKERS) {
        if (this.#watched[asker]?.presence === presence) watchPresence(this.#askers[asker], null);
      }
    }
    if (what === "kill" || what === "leave" || what === "close") {
      session.kill();
      this.#holders.delete(holder);
    }
  }

  #binding(index: number): SessionBinding {
    const binding = this.#bindings[index];
    if (binding === undefined) throw new Error(`bug: the script has no binding ${index}`);
    return binding;
  }
}

function boundOf(session: FakeSession): SessionBinding {
  if (session.binding === null) throw new Error("not connected");
  return session.binding;
}
