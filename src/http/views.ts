/** The nodes and members of a process, as the door sees them. `Node` and `Group` have these parts. */
import type { MemberReport } from "../group/report.ts";
import type { NodeReport } from "../node/report.ts";

export interface ServedNode {
  readonly clusterId: string;
  readonly nodeId: string;
  status(): NodeReport | null;
}

export interface ServedMember {
  readonly groupId: string;
  readonly memberId: string;
  status(): MemberReport | null;
  term(resource: string): TermView | null;
  owner(resource: string): OwnerView | null;
  plan(): { readonly resources: readonly { readonly owner: string | null }[] };
}

export interface TermView {
  readonly epoch: number;
  readonly held: boolean;
  readonly provenRemainingMs: number;
}

export interface OwnerView {
  readonly memberId: string;
  readonly epoch: number;
}

/** Something with a node that comes and goes: a `Manager`. */
export interface NodeHolder {
  readonly node: ServedNode | null;
}

export interface Sources {
  readonly nodes?: Iterable<ServedNode> | undefined;
  readonly groups?: Iterable<ServedMember> | undefined;
  readonly manager?: NodeHolder | undefined;
}

/** Read at every request: nodes and members may come and go. */
export function nodesOf({ nodes = [], manager }: Sources): ServedNode[] {
  const own = manager?.node ?? null;
  return own === null ? [...nodes] : [...nodes, own];
}

export function membersOf({ groups = [] }: Sources): ServedMember[] {
  return [...groups];
}
