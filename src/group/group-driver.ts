/** Makes the core of a member: the same on NATS and in a simulation. */
import { renewIntervalMs } from "../election/lease.ts";
import { balance } from "./balance.ts";
import { GroupDriver } from "./driver.ts";
import type { MakeDriver } from "./membership.ts";

/** Claims and releases of all claiming members together that are in flight at once, while answers are not fast. */
const WINDOW = 16;
/** Least time for a read of everything. 10 000 owners take 0.4 s on an idle server. */
const MIN_BULK_TIMEOUT_MS = 10_000;

/** The core of a member, run on what it is attached to. */
export function groupDriver(...[on, output, observe]: Parameters<MakeDriver>): GroupDriver {
  const { id, options, attachment, clock } = on;
  const { core, profile } = options;
  const { bucket, session, store } = attachment;
  return new GroupDriver({
    config: {
      ...core,
      incarnation: id,
      renewIntervalMs: renewIntervalMs(core.leaseTtlMs, core.heartbeatIntervalMs, bucket.replicas),
      bulkTimeoutMs: Math.max(MIN_BULK_TIMEOUT_MS, core.requestTimeoutMs),
      window: WINDOW,
      balance,
    },
    profile,
    clock,
    store,
    session,
    bucket,
    output,
    observe,
  });
}
