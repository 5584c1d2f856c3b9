/** Deliberately wrong fakes. The calibration must detect each of them. */
import type {
  HolderAnswer,
  LeaseEntry,
  LeaseWrite,
  ReadOutcome,
  SessionBinding,
  WriteOutcome,
} from "../../src/election/types.ts";
import type { InquiryOptions } from "../../src/runtime/ports.ts";
import { type Applied, FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../src/testing/simulation/fakes/fake-store.ts";
import type { FakeParts } from "./bucket/fake-bucket-world.ts";
import type { SessionParts } from "./session/fake-session-world.ts";

type Watcher = Parameters<FakeBucket["watch"]>[0];

/** The write with an expectation that holds. */
function always(bucket: FakeBucket, write: LeaseWrite): LeaseWrite {
  return { ...write, expect: { revision: bucket.entry?.revision ?? 0 } };
}

class IgnoresConditions extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    return super.write(always(this, write), stream);
  }
}

class TakesOlderRevisions extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    const { expect } = write;
    const older =
      "revision" in expect && expect.revision > 0 && expect.revision < (this.entry?.revision ?? 0);
    return super.write(older ? always(this, write) : write, stream);
  }
}

class ForgetsTheEndOfTheStream extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    return super.write("revision" in write.expect ? write : { ...write, expect: { revision: 0 } }, stream);
  }
}

class ComparesOnlyTheEndOfTheStream extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    const { expect } = write;
    const ends = "emptyAtSequence" in expect && expect.emptyAtSequence === this.snapshot().lastSequence;
    return super.write(ends ? always(this, write) : write, stream);
  }
}

class TakesMarkersForNothing extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    const marker = this.entry?.kind === "released" || this.entry?.kind === "deleted";
    const fits = marker && "revision" in write.expect && write.expect.revision === 0;
    return super.write(fits ? always(this, write) : write, stream);
  }
}

class RestartsRevisionsAfterRelease extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    const result = super.write(write, stream);
    if (write.kind === "release" && result.kind === "applied") this.rollBackTo(0, null);
    return result;
  }
}

class LeavesNoMarker extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    const result = super.write(write, stream);
    if (write.kind === "release" && result.kind === "applied") this.rollBackTo(result.revision, null);
    return result;
  }
}

class RestartsRevisionsAfterExpiry extends FakeBucket {
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

class ContinuesRevisionsWhenRecreated extends FakeBucket {
  override recreate(above: number): void {
    if (this.exists) return;
    const { lastSequence } = this.snapshot();
    super.recreate(above);
    this.rollBackTo(Math.max(above, lastSequence), null);
  }
}

class StartsAtAnotherRevision extends FakeBucket {
  override recreate(above: number): void {
    const { canBeginAbove } = this;
    this.canBeginAbove = !canBeginAbove;
    super.recreate(above);
    this.canBeginAbove = canBeginAbove;
  }
}

class KeepsGenerationWhenRecreated extends FakeBucket {
  override get generation(): string {
    return "generation-1";
  }
}

class ShowsRefusedWrites extends FakeBucket {
  override write(write: LeaseWrite, stream?: string): Applied {
    const result = super.write(write, stream);
    if (result.kind === "conflict" && this.entry !== null) this.repeat(this.entry);
    return result;
  }
}

class ReportsTwice extends FakeBucket {
  override watch(watcher: Watcher): () => void {
    const entry = (seen: LeaseEntry, stream: string): void => {
      watcher.entry(seen, stream);
      watcher.entry(seen, stream);
    };
    return super.watch({ entry, gone: () => watcher.gone() });
  }
}

class HidesItsDeletion extends FakeBucket {
  override watch(watcher: Watcher): () => void {
    return super.watch({ entry: (entry, stream) => watcher.entry(entry, stream), gone: () => {} });
  }
}

class HidesTheStreamOfWrites extends FakeBucket {
  override write(write: LeaseWrite): Applied {
    return super.write(write);
  }
}

class RefusesGarbage extends FakeBucket {
  override force(entry: (revision: number) => LeaseEntry): number {
    const next = this.snapshot().lastSequence + 1;
    return entry(next).kind === "garbage" ? next : super.force(entry);
  }
}

class LosesLateRequests extends FakeStore {
  override write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    if (this.network.delayNextWriteMs > 0) this.network.dropRequests = true;
    return super.write(write, timeoutMs);
  }
}

class LosesUnansweredWrites extends FakeStore {
  override write(write: LeaseWrite, timeoutMs: number): PromiseLike<WriteOutcome> {
    if (this.network.dropResponses) this.network.dropRequests = true;
    return super.write(write, timeoutMs);
  }
}

class ReportsConflictForUnknown extends FakeStore {
  override async write(write: LeaseWrite, timeoutMs: number): Promise<WriteOutcome> {
    const outcome = await super.write(write, timeoutMs);
    return outcome.kind === "unknown" ? { kind: "conflict" } : outcome;
  }
}

class ReportsMissingBucketAsFailure extends FakeStore {
  override async read(timeoutMs: number): Promise<ReadOutcome> {
    const outcome = await super.read(timeoutMs);
    return outcome.kind === "no-bucket" ? { kind: "failed", error: new Error("no bucket") } : outcome;
  }
}

function store(Kind: typeof FakeStore): FakeParts {
  return { store: (time, bucket, session) => new Kind(time, bucket, { session }) };
}

export const WRONG_FAKES: readonly (readonly [wrong: string, FakeParts])[] = [
  ["ignores the expectation of a write", { bucket: () => new IgnoresConditions() }],
  ["accepts an older revision", { bucket: () => new TakesOlderRevisions() }],
  ["does not compare the last sequence", { bucket: () => new ForgetsTheEndOfTheStream() }],
  ["compares only the last sequence", { bucket: () => new ComparesOnlyTheEndOfTheStream() }],
  ["treats a delete marker as no message", { bucket: () => new TakesMarkersForNothing() }],
  ["restarts its revisions after a release", { bucket: () => new RestartsRevisionsAfterRelease() }],
  ["leaves no marker after a release", { bucket: () => new LeavesNoMarker() }],
  ["restarts its revisions after an expiry or a purge", { bucket: () => new RestartsRevisionsAfterExpiry() }],
  ["never expires a message", { bucket: () => new NeverExpires() }],
  ["counts revisions per key", { bucket: () => new CountsEachKeyByItself() }],
  ["continues its revisions when recreated", { bucket: () => new ContinuesRevisionsWhenRecreated() }],
  [
    "starts at the requested revision exactly where the server does not",
    { bucket: () => new StartsAtAnotherRevision() },
  ],
  ["keeps its generation when recreated", { bucket: () => new KeepsGenerationWhenRecreated() }],
  ["reports refused writes to watchers", { bucket: () => new ShowsRefusedWrites() }],
  ["reports everything twice to watchers", { bucket: () => new ReportsTwice() }],
  ["does not report its deletion", { bucket: () => new HidesItsDeletion() }],
  ["does not report for which stream a write was meant", { bucket: () => new HidesTheStreamOfWrites() }],
  ["does not store garbage", { bucket: () => new RefusesGarbage() }],
  ["loses late requests", store(LosesLateRequests)],
  ["does not apply unanswered writes", store(LosesUnansweredWrites)],
  ["reports unknown outcomes as conflicts", store(ReportsConflictForUnknown)],
  ["reports a missing bucket as a failed read", store(ReportsMissingBucketAsFailure)],
];

class ConfirmsEveryDeath extends FakeSession {
  override async inquire(): Promise<HolderAnswer> {
    return { kind: "closed" };
  }
}

class ConfirmsNoDeath extends FakeSession {
  override async inquire(): Promise<HolderAnswer> {
    return { kind: "none" };
  }
}

class AcceptsAnyServer extends FakeSession {
  override inquire(binding: SessionBinding, options: InquiryOptions): PromiseLike<HolderAnswer> {
    return super.inquire({ ...binding, serverId: "server" }, options);
  }
}

class IgnoresMissingPresence extends FakeSession {
  override inquire(binding: SessionBinding, options: InquiryOptions): PromiseLike<HolderAnswer> {
    return super.inquire({ presence: "any", ...binding }, options);
  }
}

class ReportsEveryPresence extends FakeSession {
  override receiveAdvisory(presence: string): void {
    this.watchHolder({ serverId: "server", clientId: 0, presence });
    super.receiveAdvisory(presence);
  }
}

class ReportsNoPresence extends FakeSession {
  override receiveAdvisory(): void {}
}

class ReportsPresenceTwice extends FakeSession {
  override receiveAdvisory(presence: string): void {
    super.receiveAdvisory(presence);
    super.receiveAdvisory(presence);
  }
}

class NeverStopsWatching extends FakeSession {
  override watchHolder(holder: SessionBinding | null): void {
    if (holder !== null) super.watchHolder(holder);
  }
}

function session(Kind: typeof FakeSession): SessionParts {
  return { session: (connections, presence) => new Kind(connections, { presence }) };
}

export const WRONG_SESSIONS: readonly (readonly [wrong: string, SessionParts])[] = [
  ["confirms every death", session(ConfirmsEveryDeath)],
  ["confirms no death", session(ConfirmsNoDeath)],
  ["accepts any server id", session(AcceptsAnyServer)],
  ["confirms a death without presence", session(IgnoresMissingPresence)],
  ["reports every presence", session(ReportsEveryPresence)],
  ["reports no presence", session(ReportsNoPresence)],
  ["reports every presence twice", session(ReportsPresenceTwice)],
  ["does not stop watching", session(NeverStopsWatching)],
];
