/**
 * Members of one group on a real server. Their work records when it may act, and checks that no two members act for one resource at a
 * time. They are stopped when the test ends.
 */
import { expect } from "vitest";
import { waitFor } from "../../../scripts/shared/wait.ts";
import type { GroupOptions } from "../../../src/config/group-options.ts";
import { Group } from "../../../src/group/group.ts";
import type { GroupHooks } from "../../../src/group/hooks.ts";
import type { ResourceTerm } from "../../../src/group/term.ts";
import { atEnd } from "../at-end.ts";
import { freshId } from "../fresh-id.ts";
import { PATIENCE_MS } from "../patience.ts";

export class RealGroup {
  readonly groupId: string;
  readonly members: Map<string, Group>;
  /** Each run of work, as `resource member epoch`, in order of their beginnings. */
  readonly runs: string[];
  readonly #options: Partial<GroupOptions>;
  readonly #running: Map<string, string>;
  readonly #epochs: Map<string, number>;
  readonly #violations: string[];

  constructor(servers: string, options: Partial<GroupOptions> = {}) {
    this.groupId = options.groupId ?? freshId("g");
    this.#options = { servers, resources: 6, settleMs: 100, logger: false, ...options };
    this.members = new Map();
    this.runs = [];
    this.#running = new Map();
    this.#epochs = new Map();
    this.#violations = [];
    atEnd(async () => {
      await Promise.all([...this.members.values()].map((member) => member.stop()));
      expect(this.#violations).toEqual([]);
    });
  }

  /** A member that has not been started. */
  make(memberId: string, options: Partial<GroupOptions> = {}, hooks: GroupHooks = {}): Group {
    const given = { groupId: this.groupId, memberId, ...this.#options, ...options } as GroupOptions;
    const member = new Group(given, hooks);
    this.members.set(memberId, member);
    return member;
  }

  /** A member that takes part, and works until the signal of each term aborts. */
  async start(memberId: string, options: Partial<GroupOptions> = {}, hooks: GroupHooks = {}): Promise<Group> {
    const member = this.make(memberId, options, hooks);
    await this.begin(member);
    return member;
  }

  /** Starts a member that `make()` has returned. As `start()`. */
  async begin(member: Group): Promise<void> {
    await member.start();
    void this.work(member);
  }

  work(member: Group): Promise<void> {
    return member.runOwned(async (term, { signal }) => {
      this.#begin(term, member);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
      this.#running.delete(term.resource);
    });
  }

  #begin({ resource, epoch }: ResourceTerm, { memberId }: Group): void {
    const other = this.#running.get(resource);
    const last = this.#epochs.get(resource) ?? 0;
    if (other !== undefined) this.#violations.push(`${memberId} works on ${resource} beside ${other}`);
    if (epoch <= last) this.#violations.push(`${resource}: epoch ${epoch} after ${last}`);
    this.#running.set(resource, memberId);
    this.#epochs.set(resource, epoch);
    this.runs.push(`${resource} ${memberId} ${epoch}`);
  }

  /** How many resources each member owns. */
  get shares(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.members].map(([id, member]) => [id, member.owned.size]));
  }

  /** Resolves when the members own so many resources, and hold all of them. */
  async untilShares(shares: Readonly<Record<string, number>>): Promise<void> {
    const members = (): Group[] => [...this.members.values()];
    await waitFor(
      () =>
        Object.entries(shares).every(([id, count]) => this.members.get(id)?.owned.size === count) &&
        members().every(({ owned }) => [...owned.values()].every(({ held }) => held)),
      {
        timeoutMs: PATIENCE_MS,
        message: () => `${JSON.stringify(shares)}, not ${JSON.stringify(this.shares)}`,
      },
    );
  }
}
