/** Content for a terminal of a given size. */
import { cut, dim, type Line, line } from "./text.ts";

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** The size for what stays on a terminal of `columns` columns: it scrolls, so any number of lines fits. */
export function sizeToKeep(columns: number): ScreenSize {
  return { columns, rows: Number.POSITIVE_INFINITY };
}

/**
 * At most `rows` lines of at most `columns` columns. If the body does not fit between head and foot, its last lines are replaced
 * by their number. On a terminal with no room for any of the body, the foot is omitted, and head and body are shortened together.
 * With any number of rows (`sizeToKeep`) nothing is cut, and the foot, which says how to end the display, is omitted.
 */
export function fitScreen(
  head: readonly Line[],
  body: readonly Line[],
  foot: readonly Line[],
  { columns, rows }: ScreenSize,
): Line[] {
  if (rows === Number.POSITIVE_INFINITY) return [...head, ...body];
  const room = rows - head.length - foot.length;
  const isTiny = room < Math.min(1, body.length);
  const lines = isTiny ? shorten([...head, ...body], rows) : [...head, ...shorten(body, room), ...foot];
  // A single row is the title's.
  const shown = rows <= 1 ? head.slice(0, 1) : lines;
  return shown.map((one) => cut(one, columns));
}

function shorten(lines: readonly Line[], room: number): readonly Line[] {
  if (lines.length <= room) return lines;
  const hidden = lines.length - room + 1;
  return [...lines.slice(0, room - 1), line`${dim(`… ${hidden} more lines`)}`];
}
