/** Puts what has changed of a group on the board, in steps: each chunk of cells that is made into JSON is one. */
import { groupCard, renewalsCard } from "../model/group.ts";
import type { GridChange, GroupModel } from "../model/group-model.ts";
import type { Board } from "../server/board.ts";

export function* showGroup(
  board: Board,
  model: Pick<GroupModel, "state" | "chunk">,
  { chunks, count }: GridChange,
): Generator<void, void> {
  const { state } = model;
  const key = `group/${state.id}`;
  board.set(key, groupCard(state));
  board.set(`renewals/${state.id}`, renewalsCard(state));
  board.set(`${key}/changes`, state.changes, key);
  for (const index of chunks) {
    board.set(`${key}/grid/${index}`, model.chunk(index), key);
    yield;
  }
  for (let index = count; board.has(`${key}/grid/${index}`); index += 1) {
    board.delete(`${key}/grid/${index}`);
  }
}
