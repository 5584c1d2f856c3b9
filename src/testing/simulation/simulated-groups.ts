/** The groups of a simulation: their buckets, their members, and who holds what. */
import type { GroupAttachment, GroupAttachRequest } from "../../group/backend.ts";
import type { GroupDriver } from "../../group/driver.ts";
import type { GroupEnvironment } from "../../group/group.ts";
import { groupDriver } from "../../group/group-driver.ts";
import type { BucketInfo, Random } from "../../runtime/ports.ts";
import { FakeGroupBucket } from "./fakes/fake-group-bucket.ts";
import { FakeGroupStore } from "./fakes/fake-group-store.ts";
import type { FakeSession } from "./fakes/fake-session.ts";
import type { GroupNetwork } from "./fakes/group-network.ts";
import { type HeldResource, HeldResources, type Holding } from "./held-resources.ts";
import { SeededRandom } from "./random.ts";
import type { VirtualClock } from "./time/virtual-clock.ts";
import type { VirtualTime } from "./time/virtual-time.ts";

/** What a group needs of the process that its member runs in. */
export interface GroupProcess {
  /** Name of the process. */
  readonly process: string;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly network: GroupNetwork;
  /** Whether code of this process can run at this moment. */
  readonly isRunning: () => boolean;
  /** Connects, or rejects as a connection does. */
  readonly open: (silenceMs: number, signal: AbortSignal) => Promise<FakeSession>;
  readonly closed: (session: FakeSession) => void;
}

interface Member {
  readonly on: GroupProcess;
  readonly groupId: string;
  /** `null`: it is about to begin. */
  driver: GroupDriver | null;
}

/** Until it is open. */
const NO_BUCKET: BucketInfo = { generation: "", maxAgeMs: 0, replicas: 1, republish: true };

export class SimulatedGroups {
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #buckets = new Map<string, FakeGroupBucket>();
  readonly #members = new Map<GroupAttachment, Member>();
  readonly #held: HeldResources;
  /** Set while the servers have no quorum. */
  #commitsLate: boolean | null = null;

  constructor(time: VirtualTime, seed: number, log: (source: string, text: string) => void) {
    this.#time = time;
    this.#random = new SeededRandom(seed);
    this.#held = new HeldResources(({ process, resource, epoch }, begins) =>
      log(process, `${begins ? "OWNS" : "no longer owns"} ${resource} with epoch ${epoch}`),
    );
  }

  get terms(): readonly HeldResource[] {
    return this.#held.all;
  }

  /** The access of one member to the bucket of its group. */
  storeOf(groupId: string, { network, clock }: GroupProcess, session: FakeSession): FakeGroupStore {
    const random = new SeededRandom(this.#random.between(0, 0x7fffffff));
    return new FakeGroupStore({
      time: this.#time,
      bucket: this.#bucketOf(groupId),
      network,
      clock,
      session,
      random,
    });
  }

  #bucketOf(groupId: string): FakeGroupBucket {
    const known = this.#buckets.get(groupId);
    if (known !== undefined) return known;
    const bucket = new FakeGroupBucket();
    if (this.#commitsLate !== null) bucket.loseQuorum(this.#commitsLate);
    this.#buckets.set(groupId, bucket);
    return bucket;
  }

  loseQuorum(commitsLate: boolean): void {
    this.#commitsLate = commitsLate;
    for (const bucket of this.#buckets.values()) bucket.loseQuorum(commitsLate);
  }

  regainQuorum(): void {
    this.#commitsLate = null;
    for (const bucket of this.#buckets.values()) bucket.regainQuorum();
  }

  deleteBuckets(): void {
    const ttls = [...this.#members.values()].map(({ driver }) => driver?.state.config.leaseTtlMs ?? 0);
    this.#held.tolerate(this.#time.now + Math.max(0, ...ttls));
    for (const bucket of this.#buckets.values()) bucket.delete();
  }

  attached(attachment: GroupAttachment, on: GroupProcess, groupId: string): void {
    this.#members.set(attachment, { on, groupId, driver: null });
  }

  began(attachment: GroupAttachment, driver: GroupDriver): void {
    const member = this.#members.get(attachment);
    if (member !== undefined) member.driver = driver;
  }

  closed(attachment: GroupAttachment): void {
    this.#members.delete(attachment);
  }

  /** This run of the process has ended, and its members with it. */
  ended(on: GroupProcess): void {
    for (const [attachment, member] of this.#members) if (member.on === on) this.#members.delete(attachment);
  }

  owned(process: string): string[] {
    return this.#holdings()
      .filter((holding) => holding.process === process)
      .map(({ resource }) => resource)
      .sort();
  }

  /** Returns what is violated, or `null`. */
  check(): string | null {
    return this.#held.observe(this.#time.now, this.#holdings());
  }

  #holdings(): Holding[] {
    const holdings: Holding[] = [];
    for (const { on, groupId, driver } of this.#members.values()) {
      // A paused process does not ask. What it holds is evaluated when it continues.
      if (driver === null || !on.isRunning()) continue;
      const { config, terms } = driver.state;
      const { memberId, incarnation } = config;
      const { process } = on;
      for (const { key, name, term } of terms)
        if (key.kind === "owner" && term !== null && driver.isHeld(name))
          holdings.push({ process, groupId, memberId, incarnation, resource: name, epoch: term.epoch });
    }
    return holdings;
  }
}

/** The environment of the members of one run of a process. */
export function groupEnvironmentOf(groups: SimulatedGroups, on: GroupProcess): GroupEnvironment {
  return {
    backend: { attach: (request) => attach(groups, on, request) },
    clock: on.clock,
    random: on.random,
    makeDriver: (member, output, observe) => {
      const driver = groupDriver(member, output, observe);
      groups.began(member.attachment, driver);
      return driver;
    },
  };
}

async function attach(
  groups: SimulatedGroups,
  on: GroupProcess,
  { groupId, signal, above, silenceMs }: GroupAttachRequest,
): Promise<GroupAttachment> {
  const session = await on.open(silenceMs, signal);
  const store = groups.storeOf(groupId, on, session);
  const close = async (): Promise<void> => {
    groups.closed(attachment);
    await store.close();
    session.kill();
    on.closed(session);
  };
  let attachment: GroupAttachment = { session, store, bucket: NO_BUCKET, serve: () => {}, close };
  try {
    const bucket = await store.open(signal, above);
    attachment = { ...attachment, bucket };
    groups.attached(attachment, on, groupId);
    return attachment;
  } catch (error) {
    await close();
    throw error;
  }
}
