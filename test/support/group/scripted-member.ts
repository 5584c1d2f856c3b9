/** A `Group` whose core does what the test says, in virtual time. */
import type { GroupOptions } from "../../../src/config/group-options.ts";
import { Group } from "../../../src/group/group.ts";
import type { GroupHooks } from "../../../src/group/hooks.ts";
import type { SessionEvent } from "../../../src/runtime/ports.ts";
import { VirtualClock } from "../../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { ScriptedCore } from "./scripted-core.ts";

export interface ScriptedMember {
  readonly group: Group;
  readonly time: VirtualTime;
  /** Of the present incarnation. */
  readonly core: ScriptedCore;
  /** `type`, `type resource` or `type code` of each event. */
  readonly events: string[];
  session(event: SessionEvent): void;
  /** How often what a start has opened was closed. */
  readonly closed: number;
}

export function scriptedMember(hooks: GroupHooks = {}, options: Partial<GroupOptions> = {}): ScriptedMember {
  const time = new VirtualTime();
  const clock = new VirtualClock(time);
  const cores: ScriptedCore[] = [];
  const listeners = new Set<(event: SessionEvent) => void>();
  let closed = 0;
  const session = {
    connected: true,
    listen(listener: (event: SessionEvent) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  let ids = 0;
  const group = new Group(
    { groupId: "g", memberId: "a", servers: "localhost", resources: 4, logger: false, ...options },
    hooks,
    {
      clock,
      random: { id: () => `i${++ids}` },
      backend: {
        attach: async () => ({
          session: session as never,
          store: {} as never,
          bucket: { generation: "now", maxAgeMs: 0, replicas: 1, republish: true },
          serve() {},
          close: async () => {
            closed += 1;
          },
        }),
      },
      makeDriver: (on, output) => {
        const core = new ScriptedCore(on, output);
        cores.push(core);
        return core;
      },
    },
  );
  const events: string[] = [];
  const follow = async (): Promise<void> => {
    for (;;) {
      for await (const event of group.events()) {
        const what = "term" in event ? event.term.resource : "code" in event ? event.code : "";
        events.push(`${event.type} ${what}`.trim());
      }
    }
  };
  void follow();
  return {
    group,
    time,
    events,
    get core() {
      const last = cores.at(-1);
      if (last === undefined) throw new Error("the group was not started");
      return last;
    },
    session: (event) => {
      for (const listener of listeners) listener(event);
    },
    get closed() {
      return closed;
    },
  };
}
