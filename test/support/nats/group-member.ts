/** A member of a group on NATS, without its application side: work that drains ends on the next turn of the loop. */
import { balance } from "../../../src/group/balance.ts";
import type { GroupConfig } from "../../../src/group/core/events.ts";
import { GroupDriver, type GroupOutput } from "../../../src/group/driver.ts";
import { connectNats, type NatsOptions } from "../../../src/nats/connection/connection.ts";
import { NatsGroupStore } from "../../../src/nats/group/group-store.ts";
import { groupStreamName } from "../../../src/nats/names.ts";
import { openSession } from "../../../src/nats/presence/session.ts";
import { systemClock, systemRandom } from "../../../src/runtime/system-clock.ts";
import { deferred } from "../../../src/runtime/waiting.ts";

export interface MemberOptions {
  readonly groupId: string;
  readonly memberId: string;
  readonly resources: readonly string[];
  readonly config?: Partial<GroupConfig>;
  readonly nats?: NatsOptions;
}

export interface NatsMember extends AsyncDisposable {
  readonly driver: GroupDriver;
  readonly memberId: string;
  readonly incarnation: string;
  /** Epochs of the running terms. */
  readonly owned: ReadonlyMap<string, number>;
  readonly warnings: readonly string[];
  /** Number of resources that it may act on now. */
  held(): number;
  /** Resolves when the session has ended and everything is closed. */
  stop(): Promise<void>;
}

/** A lease that does not expire within the patience of a test: what happens in time was not caused by its end. */
const TIMES: Omit<GroupConfig, "memberId" | "incarnation"> = {
  crashDetection: "presence",
  silenceMs: 0,
  leaseTtlMs: 30_000,
  heartbeatIntervalMs: 10_000,
  renewIntervalMs: 10_000,
  requestTimeoutMs: 5_000,
  bulkTimeoutMs: 10_000,
  retryDelayMs: 100,
  window: 16,
  maxMoves: 8,
  settleMs: 300,
  rejoinGraceMs: 0,
  unownedGraceMs: 1_000,
  balance,
};

/** The caller disposes of it. */
export async function startMember(
  servers: readonly string[],
  { groupId, memberId, resources, config = {}, nats = {} }: MemberOptions,
  onOutput: (output: GroupOutput) => void = () => {},
): Promise<NatsMember> {
  const link = await connectNats(
    { servers, reconnectWaitMs: 20, ...nats },
    { clusterId: "test", nodeId: memberId },
  );
  const warnings: string[] = [];
  const onWarning = (message: string): void => void warnings.push(message);
  const session = openSession(link.connection, { onWarning });
  const store = new NatsGroupStore(session.monitor, { groupId, replicas: "auto", onWarning });
  const bucket = await store.open(new AbortController().signal, 0);
  const core: GroupConfig = { ...TIMES, memberId, incarnation: systemRandom.id(), ...config };
  if (core.crashDetection === "presence") await session.usePresence(groupStreamName(groupId));
  if (core.silenceMs > 0) await session.useBeats(core.silenceMs);
  const owned = new Map<string, number>();
  const stopped = deferred<void>();
  const output = (effect: GroupOutput): void => {
    switch (effect.type) {
      case "own":
        owned.set(effect.resource, effect.epoch);
        break;
      case "drain": {
        const { resource, epoch } = effect;
        owned.delete(resource);
        setImmediate(() => driver.dispatch({ type: "drained", resource, epoch }));
        break;
      }
      case "lose":
        owned.delete(effect.resource);
        break;
      case "warning":
        warnings.push(`${effect.code}: ${effect.message}`);
        break;
      case "stopped":
        stopped.resolve();
        break;
      default:
    }
    onOutput(effect);
  };
  const clock = systemClock();
  const profile = { weight: 1 };
  const driver = new GroupDriver({ config: core, profile, clock, store, session, bucket, output });
  driver.dispatch({ type: "resources", resources: resources.map((name) => ({ name })) });
  driver.start();
  let stopping: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    driver.dispatch({ type: "stop", restarting: false });
    await stopped.promise;
    await store.close();
    await session.release();
    await link.close();
  };
  return {
    driver,
    memberId,
    incarnation: core.incarnation,
    owned,
    warnings,
    held: () => [...owned.keys()].filter((resource) => driver.isHeld(resource)).length,
    stop: () => (stopping ??= stop()),
    [Symbol.asyncDispose]: () => (stopping ??= stop()),
  };
}
