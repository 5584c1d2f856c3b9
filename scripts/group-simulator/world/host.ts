/** A host runs one member, process after process. Each process has a fresh incarnation. */
import type { Resource } from "../../../src/group/core/balance.ts";
import type { GroupWrite } from "../../../src/group/core/types.ts";
import {
  type GroupNetwork,
  perfectGroupNetwork,
  type RequestKind,
} from "../../../src/testing/simulation/fakes/group-network.ts";
import type { MemberPlan } from "../plan.ts";
import { type GroupWorld, Member, type MemberHost } from "./member.ts";

export class Host implements MemberHost {
  readonly world: GroupWorld;
  readonly plan: MemberPlan;
  readonly name: string;
  readonly network: GroupNetwork = perfectGroupNetwork();
  /** The list of resources of its present and its next process. */
  resources: readonly Resource[];
  weight: number;
  draining = false;
  /** `null`: it has not started yet. */
  member: Member | null = null;
  /** What happens at its next write of this kind. */
  atNextWrite: { readonly kind: RequestKind; readonly happen: () => void } | null = null;
  #processes = 0;

  constructor(world: GroupWorld, index: number, plan: MemberPlan, resources: readonly Resource[]) {
    this.world = world;
    this.plan = plan;
    this.name = `${"abcdefghij".charAt(index % 10)}`;
    this.resources = resources;
    this.weight = plan.weight;
  }

  get isRunning(): boolean {
    return this.member?.alive === true;
  }

  start(): void {
    if (this.isRunning) return;
    this.#processes += 1;
    const member = new Member(this, `${this.name}${this.#processes}`);
    this.member = member;
    member.store.onWrite = (write) => this.#onWrite(write);
    this.world.witness.started(member);
    member.start();
  }

  /** Changes the list of resources, now and for the processes that follow. */
  setResources(resources: readonly Resource[]): void {
    this.resources = resources;
    this.member?.deliver({ type: "resources", resources });
  }

  setWeight(weight: number): void {
    this.weight = weight;
    this.member?.deliver({ type: "profile", profile: this.member.profile() });
  }

  setDraining(draining: boolean): void {
    this.draining = draining;
    this.member?.deliver({ type: "draining", draining });
  }

  #onWrite({ record }: GroupWrite): void {
    const next = this.atNextWrite;
    if (next === null || next.kind !== record.kind) return;
    this.atNextWrite = null;
    next.happen();
  }
}
