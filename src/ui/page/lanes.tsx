/** The timeline: one lane per node. */
import type { LaneSpan, NodeCard } from "../model/types.ts";
import { coarse } from "./format.ts";
import { now } from "./store.ts";

export const LANE_TEXT: Readonly<Record<LaneSpan[0], string>> = {
  leading: "leading",
  suspended: "suspended",
  draining: "draining",
  following: "following",
  observing: "not competing",
  silent: "not answering",
  absent: "absent",
};

const WINDOWS_MS = [2, 5, 15].map((minutes) => minutes * 60_000);

/** The shortest window that shows everything that was seen; at most `most`. */
export function windowOf(nodes: readonly NodeCard[], most: number): number {
  const oldest = Math.min(...nodes.map(({ lane }) => lane[0]?.[1] ?? Number.POSITIVE_INFINITY));
  const age = now.value - oldest;
  return WINDOWS_MS.find((one) => one >= Math.min(age, most)) ?? most;
}

interface LanesProps {
  readonly nodes: readonly NodeCard[];
  readonly windowMs: number;
  /** With the times below it. */
  readonly axis?: boolean;
}

export function Lanes({ nodes, windowMs, axis = false }: LanesProps) {
  const to = now.value;
  return (
    <div class="lanes">
      {nodes.map((node) => (
        <div class="lane" key={node.id}>
          <span class="lane-name" title={node.id}>
            <i class="dot" data-tint={node.tint % 12} data-hollow={node.leads ? undefined : ""} />
            <span class="ellipsis">{node.id}</span>
          </span>
          <span class="lane-track" role="img" aria-label={laneLabel(node, to)}>
            {node.lane.map((span) => (
              <Span key={span[1]} span={span} tint={node.tint} from={to - windowMs} to={to} />
            ))}
          </span>
        </div>
      ))}
      {axis && <Axis windowMs={windowMs} />}
    </div>
  );
}

interface SpanProps {
  readonly span: LaneSpan;
  readonly tint: number;
  readonly from: number;
  readonly to: number;
}

function Span({ span: [state, begin, end], tint, from, to }: SpanProps) {
  const left = Math.max(from, Math.min(begin, to));
  const right = Math.min(to, end ?? to);
  if (right < from || right < left) return null;
  const scale = 100 / (to - from);
  const style = { left: `${(left - from) * scale}%`, width: `${(right - left) * scale}%` };
  const text = `${LANE_TEXT[state]} for ${coarse((end ?? to) - begin)}`;
  return <i class={`span span-${state}`} data-tint={tint % 12} style={style} title={text} />;
}

function laneLabel({ id, state, stateSince }: NodeCard, to: number): string {
  return `${id}: ${LANE_TEXT[state]} for ${coarse(to - stateSince)}`;
}

function Axis({ windowMs }: { readonly windowMs: number }) {
  const minutes = windowMs / 60_000;
  const marks = Array.from({ length: minutes + 1 }, (_, index) => minutes - index);
  return (
    <div class="lane axis" aria-hidden="true">
      <span class="lane-name" />
      <span class="axis-marks" data-minutes={minutes}>
        {marks.map((mark) => (
          <span key={mark}>{mark === 0 ? "now" : `-${mark} min`}</span>
        ))}
      </span>
    </div>
  );
}

export function LaneLegend() {
  const states: readonly LaneSpan[0][] = [
    "leading",
    "suspended",
    "draining",
    "following",
    "observing",
    "silent",
    "absent",
  ];
  return (
    <ul class="legend">
      {states.map((state) => (
        <li key={state}>
          <i class={`swatch span-${state}`} data-tint="0" />
          {LANE_TEXT[state]}
        </li>
      ))}
    </ul>
  );
}
