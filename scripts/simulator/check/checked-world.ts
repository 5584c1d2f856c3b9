import type { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import type { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { TraceHash } from "../trace-hash.ts";
import type { Tally } from "./tally.ts";

/** The world that the checker observes. */
export interface CheckedWorld {
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly connections: FakeConnections;
  readonly tally: Tally;
  readonly hash: TraceHash;
  /** Restarted processes keep the epochs that they have seen. */
  readonly remembers: boolean;
}
