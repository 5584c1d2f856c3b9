/** Tables that fit the terminal. */
import { cut, type Line, lineOf, type Part, styled, widthOf } from "./text.ts";

/** Longer cells are cut on every output, except in the last column of a table that is not limited. */
const MAX_CELL_COLUMNS = 80;
const GAP = "  ";
const EMPTY: Line = [];

/**
 * Pads each column to its widest cell, except the last column. A table that is wider than `columns` is printed in parts, one
 * under the other, each with the first column.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly Part[])[],
  columns: number = Number.POSITIVE_INFINITY,
): Line[] {
  const titles = head.map((title) => styled(title, "dim"));
  const cells = [titles, ...rows.map((row) => head.map((_, at) => lineOf(row[at] ?? "")))];
  // Half of the line is left for the other columns.
  const first = fitted(cells, 0, Math.max(1, Math.min(MAX_CELL_COLUMNS, Math.floor(columns / 2))));
  const left = Math.max(1, columns - first.width - GAP.length);
  const others = head.slice(1).map((_, index) => {
    const isLast = index === head.length - 2;
    return fitted(cells, index + 1, isLast ? left : Math.min(left, MAX_CELL_COLUMNS));
  });
  return parts(others, left).flatMap((part, index) => [
    ...(index === 0 ? [] : [EMPTY]),
    ...cells.map((_, row) => joined([first, ...part], row)),
  ]);
}

interface Column {
  readonly cells: readonly Line[];
  readonly width: number;
}

function fitted(rows: readonly (readonly Line[])[], at: number, most: number): Column {
  const cells = rows.map((row) => cut(row[at] ?? EMPTY, most));
  return { cells, width: cells.reduce((width, cell) => Math.max(width, widthOf(cell)), 0) };
}

/** As many columns in each part as fit. */
function parts(columns: readonly Column[], most: number): Column[][] {
  const found: Column[][] = [[]];
  let used = 0;
  for (const column of columns) {
    const part = found.at(-1);
    if (part === undefined || (part.length > 0 && used + column.width > most)) {
      found.push([column]);
      used = 0;
    } else part.push(column);
    used += column.width + GAP.length;
  }
  return found;
}

function joined(columns: readonly Column[], row: number): Line {
  return columns.flatMap(({ cells, width }, at): Line => {
    const cell = cells[row] ?? EMPTY;
    if (at === columns.length - 1) return cell;
    return [...cell, ...lineOf(" ".repeat(width - widthOf(cell)) + GAP)];
  });
}
