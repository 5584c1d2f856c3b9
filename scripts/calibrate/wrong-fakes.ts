/** Fakes that are wrong on purpose. A calibration that can't tell them from the server is worth nothing. */
import type {
  LeaseEntry,
  LeaseWrite,
  ReadOutcome,
  SessionBinding,
  WriteOutcome,
} from "../../src/election/types.ts";
import { type Applied, FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../src/testing/simulation/fakes/fake-store.ts";
import type { FakeParts } from "./bucket/fake-bucket-world.ts";
import type { SessionParts } from "./session/fake-session-world.ts";

type Watcher = Parameters<FakeBucket["watch"]>[0];

/** A write whose condition is replaced by one that holds. */
function always(bucket: FakeBucket, write: LeaseWrite): LeaseWrite {
  return { ...write, expect: { revision: bucket.entry?.revision ?? 0 } };
}

class IgnoresConditions extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    return super.write(always(this, write));
  }
}

class TakesOlderRevisions extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    const { expect } = write;
    const older =
      "revision" in expect && expect.revision > 0 && expect.revision < (this.entry?.revision ?? 0);
    return super.write(older ? always(this, write) : write);
  }
}

class ForgetsTheEndOfTheStream extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    return super.write("revision" in write.expect ? write : { ...write, expect: { revision: 0 } });
  }
}

class LooksOnlyAtTheEndOfTheStream extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    const { expect } = write;
    const ends = "emptyAtSequence" in expect && expect.emptyAtSequence === this.snapshot().lastSequence;
    return super.write(ends ? always(this, write) : write);
  }
}

class TakesMarkersForNothing extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    const marker = this.entry?.kind === "released" || this.entry?.kind === "deleted";
    const fits = marker && "revision" in write.expect && write.expect.revision === 0;
    return super.write(fits ? always(this, write) : write);
  }
}

class BeginsAnewAfterRelease extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    const result = super.write(write);
    if (write.kind === "release" && result.kind === "applied") this.rollBackTo(0, null);
    return result;
  }
}

class LeavesNoMarker extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    const result = super.write(write);
    if (write.kind === "release" && result.kind === "applied") this.rollBackTo(result.revision, null);
    return result;
  }
}

class BeginsAnewAfterExpiry extends FakeBucket {
  override expire(): void {
    super.expire();
    this.rollBackTo(0, null);
  }
}

class NeverExpires extends FakeBucket {
  override expire(): void {}
}

class CountsEachKeyByItself extends FakeBucket {
  override writeOtherKey(): void {}
}

class CountsOnWhenMadeAnew extends FakeBucket {
  override recreate(above: number): void {
    if (this.exists) return;
    const { lastSequence } = this.snapshot();
    super.recreate(above);
    this.rollBackTo(Math.max(above, lastSequence), null);
  }
}

class BeginsElsewhere extends FakeBucket {
  override recreate(above: number): void {
    const { canBeginAbove } = this;
    this.canBeginAbove = !canBeginAbove;
    super.recreate(above);
    this.canBeginAbove = canBeginAbove;
  }
}

class IsTheSameWhenMadeAnew extends FakeBucket {
  override get generation(): string {
    return "generation-1";
  }
}

class ShowsRefusedWrites extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    const result = super.write(write);
    if (result.kind === "conflict" && this.entry !== null) this.repeat(this.entry);
    return result;
  }
}

class TellsTwice extends FakeBucket {
  override watch(watcher: Watcher): () => void {
    const entry = (seen: LeaseEntry): void => {
      watcher.entry(seen);
      watcher.entry(seen);
    };
    return super.watch({ entry, gone: () => watcher.gone() });
  }
}

class HidesItsEnd extends FakeBucket {
  override watch(watcher: Watcher): () => void {
    return super.watch({ entry: (entry) => watcher.entry(entry), gone: () => {} });
  }
}

class RefusesGarbage extends FakeBucket {
  override force(entry: (revision: number) => LeaseEntry): number {
    const next = this.snapshot().lastSequence + 1;
    return entry(next).kind === "garbage" ? next : super.force(entry);
  }
}

class LosesWhatIsLate extends FakeStore {
  override write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    if (this.network.delayNextWriteMs > 0) this.network.dropRequests = true;
    return super.write(write, timeoutMs);
  }
}

class LosesWhatIsNotAnswered extends FakeStore {
  override write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    if (this.network.dropResponses) this.network.dropRequests = true;
    return super.write(write, timeoutMs);
  }
}

class KnowsWhatIsUnknown extends FakeStore {
  override async write(write: LeaseWrite, timeoutMs: number): Promise<WriteOutcome> {
    const outcome = await super.write(write, timeoutMs);
    return outcome.kind === "unknown" ? { kind: "conflict" } : outcome;
  }
}

class ReadsNoBucketAsFailure extends FakeStore {
  override async read(timeoutMs: number): Promise<ReadOutcome> {
    const outcome = await super.read(timeoutMs);
    return outcome.kind === "no-bucket" ? { kind: "failed", error: new Error("no bucket") } : outcome;
  }
}

function store(Kind: typeof FakeStore): FakeParts {
  return { store: (time, bucket, session) => new Kind(time, bucket, { session }) };
}

export const WRONG_FAKES: readonly (readonly [wrong: string, FakeParts])[] = [
  ["ignores what a write expects", { bucket: () => new IgnoresConditions() }],
  ["takes an older revision for good enough", { bucket: () => new TakesOlderRevisions() }],
  ["forgets to compare the end of the stream", { bucket: () => new ForgetsTheEndOfTheStream() }],
  ["compares nothing but the end of the stream", { bucket: () => new LooksOnlyAtTheEndOfTheStream() }],
  ["takes a delete marker for no message", { bucket: () => new TakesMarkersForNothing() }],
  ["begins its revisions anew after a release", { bucket: () => new BeginsAnewAfterRelease() }],
  ["leaves no marker after a release", { bucket: () => new LeavesNoMarker() }],
  ["begins its revisions anew after an expiry or a purge", { bucket: () => new BeginsAnewAfterExpiry() }],
  ["never lets a message go", { bucket: () => new NeverExpires() }],
  ["counts each key by itself", { bucket: () => new CountsEachKeyByItself() }],
  ["counts on when it is made anew", { bucket: () => new CountsOnWhenMadeAnew() }],
  [
    "listens to its maker where the server does not, or not where it does",
    { bucket: () => new BeginsElsewhere() },
  ],
  ["is the same bucket when it is made anew", { bucket: () => new IsTheSameWhenMadeAnew() }],
  ["shows watchers what was refused", { bucket: () => new ShowsRefusedWrites() }],
  ["tells watchers everything twice", { bucket: () => new TellsTwice() }],
  ["does not tell of its own deletion", { bucket: () => new HidesItsEnd() }],
  ["does not store what is no record", { bucket: () => new RefusesGarbage() }],
  ["loses a request that is late", store(LosesWhatIsLate)],
  ["does not apply what it does not answer", store(LosesWhatIsNotAnswered)],
  ["calls a conflict what is unknown", store(KnowsWhatIsUnknown)],
  ["fails to read where there is no bucket", store(ReadsNoBucketAsFailure)],
];

class BelievesEveryDeath extends FakeSession {
  override async confirmDeath(): Promise<boolean> {
    return true;
  }
}

class BelievesNoDeath extends FakeSession {
  override async confirmDeath(): Promise<boolean> {
    return false;
  }
}

class TakesAnyServersWord extends FakeSession {
  override confirmDeath(binding: SessionBinding, timeoutMs: number): PromiseLike<boolean> {
    return super.confirmDeath({ ...binding, serverId: "server" }, timeoutMs);
  }
}

class NeedsNoPresence extends FakeSession {
  override confirmDeath(binding: SessionBinding, timeoutMs: number): PromiseLike<boolean> {
    return super.confirmDeath({ presence: "any", ...binding }, timeoutMs);
  }
}

class HearsOfEverybody extends FakeSession {
  override receiveAdvisory(presence: string): void {
    this.watchPresence(presence);
    super.receiveAdvisory(presence);
  }
}

class HearsOfNobody extends FakeSession {
  override receiveAdvisory(): void {}
}

class HearsTwice extends FakeSession {
  override receiveAdvisory(presence: string): void {
    super.receiveAdvisory(presence);
    super.receiveAdvisory(presence);
  }
}

class WatchesForEver extends FakeSession {
  override watchPresence(presence: string | null): void {
    if (presence !== null) super.watchPresence(presence);
  }
}

function session(Kind: typeof FakeSession): SessionParts {
  return { session: (connections, presence) => new Kind(connections, { presence }) };
}

export const WRONG_SESSIONS: readonly (readonly [wrong: string, SessionParts])[] = [
  ["confirms every death", session(BelievesEveryDeath)],
  ["confirms no death", session(BelievesNoDeath)],
  ["takes any server's word", session(TakesAnyServersWord)],
  ["confirms the death of who promised nothing", session(NeedsNoPresence)],
  ["hears of everybody's end", session(HearsOfEverybody)],
  ["hears of nobody's end", session(HearsOfNobody)],
  ["hears everything twice", session(HearsTwice)],
  ["goes on watching when it was told to stop", session(WatchesForEver)],
];
