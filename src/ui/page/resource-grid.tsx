/** All resources of a group as one picture: a cell per resource in the colour of its owner. One canvas, however many there are. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { GRID_CHUNK, type GridCell, type GridChunk, type MemberCard } from "../model/types.ts";
import { coarse, count } from "./format.ts";
import { entity, now } from "./store.ts";
import { theme } from "./theme.ts";

const GAP = 2;
const LEAST = 5;
const MOST = 22;
/** The picture is about as high as this share of its width, at most. */
const ASPECT = 0.42;
const LISTED = 24;

interface GridProps {
  readonly groupId: string;
  readonly resources: number;
  readonly members: readonly MemberCard[];
  readonly wanted: string;
}

interface Shape {
  readonly width: number;
  readonly columns: number;
  readonly rows: number;
  readonly size: number;
}

export function ResourceGrid({ groupId, resources, members, wanted }: GridProps) {
  const chunks = Math.ceil(resources / GRID_CHUNK);
  const parts = Array.from(
    { length: chunks },
    (_, index) => entity<GridChunk>(`group/${groupId}/grid/${index}`).value,
  );
  const cells = useMemo(() => parts.flatMap((part) => part ?? []), parts.length === 0 ? [0] : parts);
  const [width, setWidth] = useState(0);
  const [cursor, setCursor] = useState<number | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const shape = shapeOf(cells.length, width);
  const owner = ownerNames(members);

  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (canvas.current !== null && shape.width > 0) draw(canvas.current, cells, shape, cursor, wanted);
  }, [cells, shape.width, shape.columns, cursor, wanted, theme.value]);

  const at = (event: MouseEvent): number | null => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) return null;
    const step = shape.size + GAP;
    const column = Math.floor((event.clientX - box.left) / step);
    const index = Math.floor((event.clientY - box.top) / step) * shape.columns + column;
    return column >= 0 && column < shape.columns && index >= 0 && index < cells.length ? index : null;
  };
  const onKey = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, number>> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: shape.columns,
      ArrowUp: -shape.columns,
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    setCursor(Math.max(0, Math.min(cells.length - 1, (cursor ?? -move) + move)));
  };
  const chosen = cursor === null ? undefined : cells[cursor];
  const matches = wanted === "" ? [] : cells.filter(([name]) => name.toLowerCase().includes(wanted));

  return (
    <>
      <div class="grid-frame" ref={frame}>
        {cells.length > 0 && (
          <canvas
            ref={canvas}
            class="grid"
            tabIndex={0}
            role="img"
            aria-label={`${count(cells.length, "resource")}, one cell each, in the colour of its owner. Arrow keys move from cell to cell.`}
            onKeyDown={onKey}
            onMouseMove={(event) => setCursor(at(event))}
            onMouseLeave={() => setCursor(null)}
          />
        )}
      </div>
      <p class="grid-line" aria-live="polite">
        {chosen === undefined ? (
          <span class="dim">Point at a cell, or move with the arrow keys.</span>
        ) : (
          <CellText cell={chosen} owner={owner} />
        )}
      </p>
      {wanted !== "" && (
        <ul class="matches">
          {matches.slice(0, LISTED).map((cell) => (
            <li key={cell[0]}>
              <CellText cell={cell} owner={owner} />
            </li>
          ))}
          {matches.length > LISTED && <li class="dim">{`${matches.length - LISTED} more match`}</li>}
          {matches.length === 0 && <li class="dim">No resource matches.</li>}
        </ul>
      )}
    </>
  );
}

function ownerNames(members: readonly MemberCard[]): ReadonlyMap<number, string> {
  return new Map(members.map(({ tint, id }) => [tint, id]));
}

function CellText({ cell, owner }: { readonly cell: GridCell; readonly owner: ReadonlyMap<number, string> }) {
  const [name, state, by, epoch, target, since, why] = cell;
  const of = (tint: number): string => owner.get(tint) ?? "a member that is gone";
  return (
    <>
      <strong>{name}</strong>{" "}
      {by >= 0 ? (
        <>
          <i class="dot" data-tint={by % 12} /> {of(by)}
        </>
      ) : (
        <span class="bad-text">{state === "unknown" ? "key holds no record" : "no owner"}</span>
      )}
      {state === "moving" && ` → ${of(target)}`}
      {by < 0 && target >= 0 && ` → ${of(target)}`}{" "}
      <span class="dim">
        {epoch > 0 && `epoch ${epoch}`}
        {since !== null && `, for ${coarse(now.value - since)}`}
        {why !== null && `, ${why}`}
      </span>
    </>
  );
}

/** Cells as large as fits, in about the wanted shape. */
function shapeOf(cells: number, width: number): Shape {
  if (cells === 0 || width <= 0) return { width: 0, columns: 1, rows: 0, size: LEAST };
  const area = width * width * ASPECT;
  const size = Math.max(LEAST, Math.min(MOST, Math.floor(Math.sqrt(area / cells)) - GAP));
  const columns = Math.max(1, Math.floor((width + GAP) / (size + GAP)));
  return { width, columns, rows: Math.ceil(cells / columns), size };
}

function draw(
  canvas: HTMLCanvasElement,
  cells: readonly GridCell[],
  { columns, rows, size }: Shape,
  cursor: number | null,
  wanted: string,
): void {
  const ratio = devicePixelRatio;
  const step = size + GAP;
  const [wide, high] = [columns * step - GAP, rows * step - GAP];
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(high * ratio);
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${high}px`;
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const tints = Array.from({ length: 12 }, (_, index) => colour(`--t${index}`));
  const [bad, unknown, text] = [colour("--bad"), colour("--edge"), colour("--text")];
  for (const [index, [name, state, owner, , target]] of cells.entries()) {
    const [x, y] = [(index % columns) * step, Math.floor(index / columns) * step];
    context.globalAlpha = wanted === "" || name.toLowerCase().includes(wanted) ? 1 : 0.15;
    if (state === "unowned" || state === "unknown") {
      context.strokeStyle = state === "unowned" ? bad : unknown;
      context.lineWidth = 1.5;
      context.strokeRect(x + 1, y + 1, size - 2, size - 2);
      continue;
    }
    context.fillStyle = tints[owner % 12] ?? unknown;
    context.fillRect(x, y, size, size);
    if (state !== "moving") continue;
    // Half in the colour of the member that is to own it.
    context.fillStyle = target < 0 ? bad : (tints[target % 12] ?? unknown);
    context.beginPath();
    context.moveTo(x + size, y);
    context.lineTo(x + size, y + size);
    context.lineTo(x, y + size);
    context.fill();
  }
  context.globalAlpha = 1;
  if (cursor === null) return;
  context.strokeStyle = text;
  context.lineWidth = 2;
  context.strokeRect(
    (cursor % columns) * step - 1,
    Math.floor(cursor / columns) * step - 1,
    size + 2,
    size + 2,
  );
}
