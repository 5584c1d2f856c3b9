/** The timeline: one page without anything from elsewhere. Time runs to the right; positions are shares of a world's width. */

import type { FaultMark } from "../check/checker.ts";
import { type FaultGroup, type FaultName, groupOf, kindOf, NAMES } from "../faults/catalogue.ts";
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
<span class="legend">point at anything for what it was</span>
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
  const verdict = isSound(report) ? ["good", "all held"] : ["bad", `${report.problems.length} problems`];
  const tiles: readonly (readonly [string, string, boolean])[] = [
    ["faults", String(report.faults), true],
    ["terms", String(report.terms), true],
    ["two leaders at once", `${report.overlapMs} ms`, report.overlapMs === 0],
    [
      "… after a one-sided reset",
      `${Math.round(report.oneSidedResetOverlapMs)} ms`,
      report.oneSidedResetOverlapMs <= report.spanMs,
    ],
    ["stale writes accepted", String(report.staleWritesAccepted), report.staleWritesAccepted === 0],
    [
      "… by the unfenced shadow",
      String(report.unfencedShadowViolations),
      report.unfencedShadowViolations > 0,
    ],
    ["longest without a leader", `${Math.round(report.longestVacancyMs)} ms`, true],
    ["… that nothing explains", String(report.unexplainedVacancies), report.unexplainedVacancies === 0],
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
  const groups = Object.keys(NAMES) as FaultGroup[];
  return [
    ...NODES.map((node) => `<i class="key ${laneClass(node)}"></i>${node} leads`),
    ...groups.map((group) => `<i class="key fault ${group}"></i>${group}`),
    '<i class="key vacant"></i>nobody',
    '<i class="key vacant machine"></i>nobody, machine busy',
    '<i class="key overlap one-sided"></i>two at once, documented',
    '<i class="key overlap"></i>two at once, must not be',
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
    return `<section><h2>World ${escaped(titleOf(world))}</h2><p>nobody ever led</p></section>`;
  const scale = {
    fromMs: times.reduce((a, b) => Math.min(a, b)),
    untilMs: times.reduce((a, b) => Math.max(a, b)),
  };
  const seconds = (scale.untilMs - scale.fromMs) / 1000;
  const lanes = [...new Set([...NODES, ...held.map(({ node }) => node)])].sort();
  const offset = (ms: number): string => `${((ms - scale.fromMs) / 1000).toFixed(3)} s`;
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
          .map((it) => {
            const text = `${it.node} leads, epoch ${it.epoch}\n${offset(it.fromMs)} to ${offset(it.untilMs)}\n${(it.untilMs - it.fromMs).toFixed(1)} ms, process ${it.life}`;
            const shade = it.epoch % 2 === 0 ? "even" : "odd";
            return `<i class="${laneClass(lane)} ${shade}" style="${span(scale, it.fromMs, it.untilMs)}" data-t="${escaped(text)}"></i>`;
          })
          .join(""),
        "lane",
      ),
    ),
    row(
      "nobody",
      findings.vacancies
        .map((it) => {
          const why =
            it.cause === "fault"
              ? `at fault ${it.fault?.number} (${it.fault?.name})`
              : it.cause === "machine"
                ? "the machine was busy"
                : "nothing explains it";
          return `<i class="vacant ${it.cause}" style="${span(scale, it.fromMs, it.fromMs + it.ms)}" data-t="${escaped(`nobody leads for ${it.ms.toFixed(1)} ms\n${why}`)}"></i>`;
        })
        .join(""),
      "thin",
    ),
    row(
      "two at once",
      findings.overlaps
        .map((it) => {
          const text = `${it.one.node} (epoch ${it.one.epoch}) and ${it.other.node} (epoch ${it.other.epoch})\n${it.ms.toFixed(3)} ms, ${it.blame === "none" ? "must not be" : `documented: ${it.blame}`}`;
          return `<i class="overlap ${it.blame}" style="${span(scale, it.fromMs, it.fromMs + it.ms)}" data-t="${escaped(text)}"></i>`;
        })
        .join(""),
      "thin",
    ),
  ];
  const failure = world.failure === null ? "" : `<p class="wrong">${escaped(world.failure)}</p>`;
  return `<section><h2>World ${escaped(titleOf(world))}<small>${faults.length} faults, ${findings.terms} terms</small></h2>${failure}
<div class="scroll"><div class="world" style="--seconds:${seconds.toFixed(3)}"><div class="bands">${bands.join("")}</div>${rows.join("")}${axis(seconds)}</div></div></section>`;
}

function row(name: string, inside: string, kind: string): string {
  return `<div class="row ${kind}"><span class="name">${escaped(name)}</span><div class="track">${inside}</div></div>`;
}

function faultFlag(scale: Scale, fault: FaultMark, offset: (ms: number) => string): string {
  const { number, name, fromMs, settledMs, leader, epochBefore, epochAfter } = fault;
  const change =
    epochBefore === epochAfter ? `epoch ${epochBefore} stays` : `epoch ${epochBefore} to ${epochAfter}`;
  const text = `${number} ${name} (leader ${leader})\n${kindOf(name).what}\nat ${offset(fromMs)}, all well after ${((settledMs - fromMs) / 1000).toFixed(2)} s\n${change}`;
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
  return `<section><h2>By fault</h2><table><thead><tr><th>fault</th><th>what</th><th>times</th><th>new term</th><th>longest vacancy</th><th>longest overlap</th><th>stale writes in the shadow</th></tr></thead><tbody>${rows.join("")}</tbody></table></section>`;
}

function laneClass(lane: string): string {
  return `node-${lane.replace("'", " twin")}`;
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
