/** The timeline: one self-contained page. Time runs to the right; positions are percentages of a world's width. */
import { type FaultMark, isForbidden, type Overlap, type Vacancy } from "../check/findings.ts";
import { kindOf } from "../faults/catalogue.ts";
import { FAULT_GROUPS, type FaultGroup, type FaultName, groupOf } from "../faults/names.ts";
import type { HeldInterval } from "../node/recording.ts";
import type { WorldReport } from "../world.ts";
import { PAGE_SCRIPT, PAGE_STYLE } from "./html-page.ts";
import { type ChaosReport, type FaultSummary, isSound, titleOf } from "./report.ts";

const TICK_SECONDS = 10;
const NODES = ["a", "b", "c"];

export function timelineHtml(report: ChaosReport, worlds: readonly WorldReport[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>chaos: ${report.faults} faults, seed ${report.seed}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
${header(report)}
${problems(report)}
<nav>
<label>zoom <input id="zoom" type="range" min="0" max="100" value="35"></label>
<button id="fit" type="button">whole run</button>
<span class="legend">hover over a mark for details</span>
<span class="legend">${legend()}</span>
</nav>
${worlds.map(worldSection).join("\n")}
${faultTable(report)}
<div id="tip" hidden></div>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

function header(report: ChaosReport): string {
  const verdict = isSound(report)
    ? ["good", "every guarantee held"]
    : ["bad", `${report.problems.length} problems`];
  const tiles: readonly (readonly [string, string, boolean])[] = [
    ["faults", String(report.faults), true],
    ["terms", String(report.terms), true],
    ["two leaders at once", `${report.overlapMs} ms`, report.overlapMs === 0],
    ...report.overlaps.map(
      ({ kind, count, maxMs, bound }) =>
        [
          `… ${kind}, ${count} times, longest${bound === null ? "" : ` (bound ${bound} ms)`}`,
          `${Math.round(maxMs)} ms`,
          !isForbidden({ ms: maxMs, boundMs: bound }),
        ] as const,
    ),
    ["false takeovers", String(report.falseTakeovers), report.falseTakeovers === 0],
    [
      "stale writes in the fenced register",
      String(report.staleWritesAccepted),
      report.staleWritesAccepted === 0,
    ],
    [
      "… in the unfenced shadow",
      String(report.unfencedShadowViolations),
      report.unfencedShadowViolations > 0,
    ],
    ["longest vacancy", `${Math.round(report.longestVacancyMs)} ms`, true],
    ["unexplained vacancies", String(report.unexplainedVacancies), report.unexplainedVacancies === 0],
  ];
  const boxes = tiles.map(
    ([name, value, good]) =>
      `<div class="tile${good ? "" : " bad"}"><strong>${escaped(value)}</strong><span>${escaped(name)}</span></div>`,
  );
  const facts = `seed ${report.seed} · ${report.seconds} s · lease ${report.leaseMs} ms, span ${report.spanMs} ms · ${report.servers}`;
  return `<header><h1>Chaos run <em class="${verdict[0]}">${verdict[1]}</em></h1><p>${escaped(facts)}</p><div class="tiles">${boxes.join("")}</div></header>`;
}

function problems({ problems: wrong, notes }: ChaosReport): string {
  const list = (lines: readonly string[], name: string): string =>
    lines.length === 0
      ? ""
      : `<ul class="${name}">${lines.map((line) => `<li>${escaped(line)}</li>`).join("")}</ul>`;
  return list(wrong, "wrong") + list(notes, "notes");
}

function legend(): string {
  const groups = Object.keys(FAULT_GROUPS) as FaultGroup[];
  return [
    ...NODES.map((node) => `<i class="key ${laneClass(node)}"></i>${node} leads`),
    ...groups.map((group) => `<i class="key fault ${group}"></i>${group}`),
    '<i class="key vacant"></i>no leader',
    '<i class="key vacant machine"></i>no leader, machine busy',
    '<i class="key overlap documented"></i>two leaders, documented',
    '<i class="key overlap"></i>two leaders, violation',
  ].join(" ");
}

/** Positions within a world, in percent. */
interface Scale {
  readonly fromMs: number;
  readonly untilMs: number;
}

function at({ fromMs, untilMs }: Scale, ms: number): string {
  return `${((100 * (ms - fromMs)) / (untilMs - fromMs)).toFixed(4)}%`;
}

function span(scale: Scale, fromMs: number, untilMs: number): string {
  const width = (100 * (untilMs - fromMs)) / (scale.untilMs - scale.fromMs);
  return `left:${at(scale, fromMs)};width:${width.toFixed(4)}%`;
}

function worldSection(world: WorldReport): string {
  const { held, faults, findings } = world;
  const times = [...held.flatMap((it) => [it.fromMs, it.untilMs]), ...faults.map((it) => it.settledMs)];
  if (times.length === 0)
    return `<section><h2>World ${escaped(titleOf(world))}</h2><p>no node led</p></section>`;
  const scale = {
    fromMs: times.reduce((a, b) => Math.min(a, b)),
    untilMs: times.reduce((a, b) => Math.max(a, b)),
  };
  const seconds = (scale.untilMs - scale.fromMs) / 1000;
  const lanes = [...new Set([...NODES, ...held.map(({ node }) => node)])].sort();
  const offset: Offset = (ms) => `${((ms - scale.fromMs) / 1000).toFixed(3)} s`;
  const bands = faults.map(
    (fault) => `<u class="${groupOf(fault.name)}" style="${span(scale, fault.fromMs, fault.settledMs)}"></u>`,
  );
  const rows = [
    row("faults", faults.map((fault) => faultFlag(scale, fault, offset)).join(""), "flags"),
    ...lanes.map((lane) =>
      row(
        lane,
        held
          .filter(({ node }) => node === lane)
          .map((it) => heldBar(scale, it, offset))
          .join(""),
        "lane",
      ),
    ),
    row("no leader", findings.vacancies.map((it) => vacancyBar(scale, it)).join(""), "thin"),
    row("two leaders", findings.overlaps.map((it) => overlapBar(scale, it)).join(""), "thin"),
  ];
  const failure = world.failure === null ? "" : `<p class="wrong">${escaped(world.failure)}</p>`;
  return `<section><h2>World ${escaped(titleOf(world))}<small>${faults.length} faults, ${findings.terms} terms</small></h2>${failure}
<div class="scroll"><div class="world" style="--seconds:${seconds.toFixed(3)}"><div class="bands">${bands.join("")}</div>${rows.join("")}${axis(seconds)}</div></div></section>`;
}

/** Time since the start of the world, as text. */
type Offset = (ms: number) => string;

function bar(scale: Scale, kind: string, fromMs: number, untilMs: number, text: string): string {
  return `<i class="${kind}" style="${span(scale, fromMs, untilMs)}" data-t="${escaped(text)}"></i>`;
}

function heldBar(scale: Scale, held: HeldInterval, offset: Offset): string {
  const { node, processNumber, epoch, fromMs, untilMs } = held;
  const text = `${node} leads, epoch ${epoch}\n${offset(fromMs)} to ${offset(untilMs)}\n${(untilMs - fromMs).toFixed(1)} ms, process ${processNumber}`;
  return bar(scale, `${laneClass(node)} ${epoch % 2 === 0 ? "even" : "odd"}`, fromMs, untilMs, text);
}

function vacancyBar(scale: Scale, { cause, fault, fromMs, ms }: Vacancy): string {
  const why = {
    fault: `at fault ${fault?.number} (${fault?.name})`,
    machine: "the machine was busy",
    none: "unexplained",
  }[cause];
  return bar(scale, `vacant ${cause}`, fromMs, fromMs + ms, `no leader for ${ms.toFixed(1)} ms\n${why}`);
}

function overlapBar(scale: Scale, overlap: Overlap): string {
  const { kind, boundMs, fromMs, ms, old, next } = overlap;
  const isWrong = isForbidden(overlap);
  const verdict = isWrong ? `violation: ${kind}, bound ${boundMs} ms` : `documented: ${kind}`;
  const text = `${old.node} (epoch ${old.epoch}) and ${next.node} (epoch ${next.epoch})\n${ms.toFixed(3)} ms, ${verdict}`;
  return bar(scale, isWrong ? "overlap" : "overlap documented", fromMs, fromMs + ms, text);
}

function row(name: string, inside: string, kind: string): string {
  return `<div class="row ${kind}"><span class="name">${escaped(name)}</span><div class="track">${inside}</div></div>`;
}

function faultFlag(scale: Scale, fault: FaultMark, offset: Offset): string {
  const { number, name, fromMs, settledMs, leader, epochBefore, epochAfter } = fault;
  const change =
    epochBefore === epochAfter ? `epoch stays ${epochBefore}` : `epoch ${epochBefore} to ${epochAfter}`;
  const text = `${number} ${name} (leader ${leader})\n${kindOf(name).what}\nat ${offset(fromMs)}, settled after ${((settledMs - fromMs) / 1000).toFixed(2)} s\n${change}`;
  return `<b class="${groupOf(name)}" style="left:${at(scale, fromMs)}" data-t="${escaped(text)}"><span>${name}</span></b>`;
}

function axis(seconds: number): string {
  const ticks = Array.from({ length: Math.floor(seconds / TICK_SECONDS) + 1 }, (_, index) => {
    const second = index * TICK_SECONDS;
    return `<span style="left:${((100 * second) / seconds).toFixed(4)}%">${second} s</span>`;
  });
  return `<div class="row axis"><span class="name"></span><div class="track">${ticks.join("")}</div></div>`;
}

function faultTable({ byFault }: ChaosReport): string {
  const rows = (Object.entries(byFault) as [FaultName, FaultSummary][]).map(([name, it]) => {
    const ms = (value: number): string => (value === 0 ? "" : `${Math.round(value)} ms`);
    const cells = [
      it.faults,
      it.newTerms,
      ms(it.longestVacancyMs),
      ms(it.overlapMs),
      it.shadowViolations || "",
    ];
    return `<tr><td><i class="key fault ${it.group}"></i>${name}</td><td class="what">${escaped(kindOf(name).what)}</td>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return `<section><h2>By fault</h2><table><thead><tr><th>fault</th><th>what</th><th>count</th><th>new terms</th><th>longest vacancy</th><th>longest overlap</th><th>stale writes in the shadow</th></tr></thead><tbody>${rows.join("")}</tbody></table></section>`;
}

function laneClass(lane: string): string {
  return `node-${lane.replace("'", " twin")}`;
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
