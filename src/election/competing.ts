/** Whether this node wants to lead at all. */
import { drain } from "./term.ts";
import { type Turn, termOf } from "./turn.ts";

/**
 * Competes from now on, or only follows. A term that runs is given up as by a step-down: its work stops first. An
 * acquiring write that is in flight is not taken back; if it is applied after all, the lease is deleted, not led on.
 */
export function setCompeting(turn: Turn, competes: boolean): void {
  const { state } = turn;
  if (state.stopping) return;
  turn.state.config = { ...state.config, competes };
  if (competes) {
    // Nobody asked for the holder while this node did not compete: its death may have been missed.
    const following = termOf(state) === null;
    turn.state.cooldownUntilMono = Number.NEGATIVE_INFINITY;
    turn.state.askHolder = true;
    turn.state.mustRead = state.mustRead || following;
    return;
  }
  if (state.role.name === "leader" || state.role.name === "suspended") drain(turn, "released", undefined);
}
