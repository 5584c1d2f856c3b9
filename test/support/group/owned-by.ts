import type { GroupState } from "../../../src/group/core/state.ts";

export interface OwnedView {
  readonly resource: string;
  readonly epoch: number;
  readonly phase: "held" | "draining" | "drained" | "releasing";
}

/** The terms of this member, whether its session is held or not. */
export function ownedBy({ terms, coordinator }: GroupState): OwnedView[] {
  const owned: OwnedView[] = [];
  for (const view of terms)
    if (view !== coordinator && view.term !== null)
      owned.push({ resource: view.name, epoch: view.term.epoch, phase: view.term.phase });
  return owned;
}
