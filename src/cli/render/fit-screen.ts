/** Content for a terminal of a given size. */
import { cut, dim, type Line, line } from "./text.ts";

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * At most `rows` lines of at most `columns` columns. If the body does not fit between head and foot, its last lines are replaced
 * by their number. On a terminal with no room for any of the body, the head is cut, too.
 */
export function fitScreen(
  head: readonly Line[],
  body: readonly Line[],
  foot: readonly Line[],
  { columns, rows }: ScreenSize,
): Line[] {
  const room = Math.max(0, rows - head.length - foot.length);
  const hidden = body.length - room + 1;
  const shown =
    body.length <= room
      ? body
      : [...body.slice(0, Math.max(0, room - 1)), line`${dim(`… ${hidden} more lines`)}`];
  return [...head, ...shown, ...foot].slice(0, Math.max(1, rows)).map((one) => cut(one, columns));
}
