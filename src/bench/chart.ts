/** Charts of a benchmark: a histogram of the samples with their percentiles, as SVG or HTML text. */
import type { FailoverReport } from "./options.ts";
import { bins } from "./stats.ts";

const WIDTH = 800;
const HEIGHT = 400;
const PLOT = { left: 60, top: 70, right: 30, bottom: 50 };
const MOST_BARS = 40;

const MARKS = [
  { name: "p50", color: "#1b7f3b" },
  { name: "p90", color: "#b87a00" },
  { name: "p99", color: "#b3261e" },
] as const;

/** The chart as an SVG document. */
export function svgChart(report: FailoverReport): string {
  const bars = bins(report.samplesMs, MOST_BARS);
  const low = bars[0]?.from ?? 0;
  const high = bars.at(-1)?.to ?? 1;
  const tallest = Math.max(1, ...bars.map(({ count }) => count));
  const width = WIDTH - PLOT.left - PLOT.right;
  const height = HEIGHT - PLOT.top - PLOT.bottom;
  const x = (value: number): number => PLOT.left + ((value - low) / (high - low || 1)) * width;
  const y = (count: number): number => PLOT.top + height - (count / tallest) * height;
  const base = PLOT.top + height;
  const rectangles = bars.map(({ from, to, count }) => {
    const title = `<title>${from}-${to} ms: ${count}</title>`;
    const size = `width="${fixed(Math.max(1, x(to) - x(from) - 1))}" height="${fixed(base - y(count))}"`;
    return `<rect x="${fixed(x(from))}" y="${fixed(y(count))}" ${size} fill="#4472c4">${title}</rect>`;
  });
  const marks = MARKS.map(({ name, color }, index) => {
    const at = fixed(x(report[name]));
    const label = `<text x="${at}" y="${PLOT.top - 6}" dx="${index * 2}" fill="${color}" text-anchor="middle">${name}</text>`;
    return `<line x1="${at}" x2="${at}" y1="${PLOT.top}" y2="${base}" stroke="${color}" stroke-dasharray="4 3"/>${label}`;
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const value = low + part * (high - low);
    return `<text x="${fixed(x(value))}" y="${base + 18}" text-anchor="middle">${fixed(value)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
<text x="${PLOT.left}" y="22" font-size="16">${escaped(headline(report))}</text>
<text x="${PLOT.left}" y="40" fill="#555">${escaped(figures(report))}</text>
${rectangles.join("\n")}
<line x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${base}" y2="${base}" stroke="#333"/>
<text x="${PLOT.left - 8}" y="${PLOT.top + 4}" text-anchor="end">${tallest}</text>
<text x="${PLOT.left - 8}" y="${base}" text-anchor="end">0</text>
${ticks.join("\n")}
<text x="${PLOT.left + width / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escaped(report.sample)}, ms</text>
${marks.join("\n")}
</svg>
`;
}

/** The chart and the figures as an HTML page. */
export function htmlChart(report: FailoverReport): string {
  const { samplesMs: _, epochs: __, floor, ...shown } = report;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escaped(headline(report))}</title>
<body style="font-family: sans-serif; max-width: 820px; margin: 2em auto">
${svgChart(report)}
<h2>Figures</h2><pre>${escaped(JSON.stringify(shown, null, 2))}</pre>
<h2>Floor: time that the server alone takes</h2><pre>${escaped(JSON.stringify(floor, null, 2))}</pre>
</body></html>
`;
}

function headline({ mode, rounds, server, servers, ttlMs }: FailoverReport): string {
  return `${mode}, ${rounds} rounds, nats-server ${server} ${servers === 1 ? "R1" : `R${servers}`}, TTL ${ttlMs} ms`;
}

function figures({ p50, p90, p99, max, overlapMs, leaderChanges }: FailoverReport): string {
  return `p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, max ${max} ms; ${leaderChanges} leader changes, overlap ${overlapMs} ms`;
}

function fixed(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
