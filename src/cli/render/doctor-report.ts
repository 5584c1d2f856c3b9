/** The report of an examination, as text and as JSON. */
import type { ClockReading } from "../../doctor/clocks/clock.ts";
import type { Examination } from "../../doctor/doctor.ts";
import {
  type BucketFacts,
  type ExaminedNode,
  type Facts,
  percentOf,
  type ServerFacts,
  type Usage,
} from "../../doctor/facts.ts";
import { type KnownCluster, knownClusters } from "../../doctor/findings/cluster-findings.ts";
import type { Finding } from "../../doctor/findings/finding.ts";
import type { ServerRates } from "../../doctor/trends/rates.ts";
import { showSeconds, showTime } from "./duration.ts";
import { fitScreen, type ScreenSize } from "./fit-screen.ts";
import { roleText, silenceText } from "./node-table.ts";
import { table } from "./table.ts";
import { bad, dim, good, type Line, line, type Part, type Style, strong, styled, wrap } from "./text.ts";

const TODO_INDENT = " ".repeat(10);

/** The output of `--json`: the verdict, the findings, and all the facts that they are derived from. */
export function examinationJson(
  { facts, findings, verdict, rates }: Examination,
  exitCode: number,
  now: number,
): object {
  const { unseen, bucket, groups, ...rest } = facts;
  const { config, ...shown } = bucket ?? { config: null };
  return {
    at: new Date(now).toISOString(),
    verdict,
    exitCode,
    findings,
    unseen,
    ...(rates === undefined ? {} : { rates }),
    ...rest,
    bucket: bucket === null ? null : shown,
    groups: groups.map(({ bucket: own, ...group }) => ({ ...group, bucket: withoutConfig(own) })),
  };
}

function withoutConfig(bucket: BucketFacts | null): object | null {
  if (bucket === null) return null;
  const { config: _, ...shown } = bucket;
  return shown;
}

/** @param columns width of a terminal; infinite for other outputs. */
export function reportLines(found: Examination, exitCode: number, columns: number): Line[] {
  return [...factLines(found, columns), ...problemLines(found), verdictText(found.findings, exitCode)];
}

/** The report for a terminal that is redrawn: the findings come first, since the rest may not fit. */
export function reportScreen(found: Examination, exitCode: number, size: ScreenSize, now: number): Line[] {
  const { columns } = size;
  const title = line`${strong(`=== nats-leader doctor [${showTime(now)}] ===`)}`;
  const problems = problemLines(found).flatMap((one) => wrap(one, columns, TODO_INDENT.length));
  return fitScreen(
    [title, [], verdictText(found.findings, exitCode), []],
    [...problems, ...factLines(found, columns)],
    [[], line`${dim("Press Ctrl+C to stop watching...")}`],
    size,
  );
}

function factLines({ facts, rates = [] }: Examination, columns: number): Line[] {
  const lines: Line[] = [];
  if (facts.servers.length > 0) lines.push(...serverTable(facts, columns), []);
  if (rates.length > 0) lines.push(...rateTable(rates, facts, columns), []);
  if (facts.bucket !== null) lines.push(line`${bucketText(facts.bucket)}`);
  if (facts.lease !== null && facts.bucket?.exists !== false) lines.push(line`${leaseText(facts)}`);
  if (facts.bucket !== null || facts.lease !== null) lines.push([]);
  for (const { groupId, view } of facts.groups) {
    if (view === null) continue;
    const { members, resources, owned, moving, unowned, coordinator } = view;
    const counts = `${resources} resources, ${owned} owned, ${moving} moving, ${unowned} unowned`;
    lines.push(
      line`group ${groupId}: ${members.length} members, ${counts}, coordinator ${coordinator ?? "none"}`,
      [],
    );
  }
  if (facts.nodes !== null && facts.nodes.length > 0) lines.push(...nodeTable(facts.nodes, columns), []);
  return lines;
}

function problemLines({ facts, findings }: Examination): Line[] {
  const lines = findings.flatMap(findingLines);
  for (const { what, how } of facts.unseen) {
    lines.push(line`${dim("NOT SEEN")}  ${what}`, line`${TODO_INDENT}to see it: ${how}`);
  }
  return lines.length === 0 ? lines : [...lines, []];
}

function verdictText(findings: readonly Finding[], exitCode: number): Line {
  const count = (severity: Finding["severity"]): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [critical, warnings] = [count("critical"), count("warning")];
  if (critical + warnings === 0) return line`${good("No problems found in what was examined.")}`;
  const text = `${critical} critical, ${warnings} ${warnings === 1 ? "warning" : "warnings"} (exit code ${exitCode})`;
  return line`${critical > 0 ? bad(text) : strong(text)}`;
}

const SEVERITY_STYLES: Readonly<Record<Finding["severity"], Style>> = {
  critical: "bad",
  warning: "strong",
  note: "dim",
};

function findingLines(finding: Finding): Line[] {
  const { severity, where, what, todo, consequences = [] } = finding;
  const word = styled(severity.toUpperCase().padEnd(8), SEVERITY_STYLES[severity]);
  return [
    line`${word}  ${where}: ${what}`,
    line`${TODO_INDENT}${todo}`,
    ...consequences.map((one) => line`${dim(`${TODO_INDENT}consequence: ${one.where}: ${one.what}`)}`),
  ];
}

function serverTable(facts: Facts, columns: number): Line[] {
  const { servers } = facts;
  const clusters = knownClusters(facts);
  const head = "SERVER HEALTH VERSION UPTIME ROUTES GATEWAYS CONNS SLOW MEMORY STORAGE META CLOCK".split(" ");
  const rows = servers.map((server) => [
    server.name,
    healthText(server),
    server.version ?? "-",
    server.uptimeMs === null ? "-" : showSeconds(server.uptimeMs),
    routesText(server, clusters),
    server.gateways === null
      ? "-"
      : `${server.gateways.connected.length}/${server.gateways.configured.length}`,
    shown(server.connections),
    shown(server.slowConsumers),
    usageText(server.memory),
    usageText(server.storage),
    metaText(server),
    clockText(server.clock),
  ]);
  return table(head, rows, columns);
}

/** Between the last two examinations; the columns after API ERR are those of this moment and of the last minute. */
function rateTable(rates: readonly ServerRates[], facts: Facts, columns: number): Line[] {
  const head = ["SERVER", "IN/S", "OUT/S", "BYTES IN/S", "BYTES OUT/S", "CONNECTS/MIN", "API ERR/MIN"];
  const rows = rates.map((rate) => {
    const server = facts.servers.find(({ name }) => name === rate.server);
    const routes = server?.routePending?.reduce((sum, one) => sum + one.bytes, 0) ?? null;
    return [
      rate.server,
      rounded(rate.inMsgsPerS),
      rounded(rate.outMsgsPerS),
      rate.inBytesPerS === null ? "-" : bytes(Math.round(rate.inBytesPerS)),
      rate.outBytesPerS === null ? "-" : bytes(Math.round(rate.outBytesPerS)),
      rounded(rate.connectsPerMin),
      rounded(rate.apiErrorsPerMin),
      server?.open == null ? "-" : `${bytes(server.open.pendingBytes)}`,
      routes === null ? "-" : bytes(routes),
      shown(server?.open?.idle ?? null),
      shown(server?.closed?.authentication ?? null),
    ];
  });
  return table([...head, "PENDING", "ROUTES PENDING", "IDLE", "REFUSED"], rows, columns);
}

function rounded(value: number | null): string {
  return value === null ? "-" : String(Math.round(value));
}

function routesText({ routes, cluster }: ServerFacts, clusters: readonly KnownCluster[]): string {
  const known = clusters.find(({ name }) => name === cluster);
  if (routes === null || known === undefined) return "-";
  return `${routes.length}/${Math.max(routes.length, known.size - 1)}`;
}

function shown(value: number | null): string {
  return value === null ? "-" : String(value);
}

function healthText({ error, health, jetstream }: ServerFacts): Part {
  if (error !== null) return bad("down");
  if (health === null) return "-";
  if (!health.ok) return bad("bad");
  return jetstream === false ? "ok, no JS" : good("ok");
}

function usageText(usage: Usage | null): string {
  const percent = percentOf(usage);
  if (usage === null) return "-";
  return percent === null ? bytes(usage.usedBytes) : `${percent.toFixed(1)} %`;
}

function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, count)) / 10)));
  return `${(count / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

function metaText({ name, meta }: ServerFacts): string {
  if (meta === null) return "-";
  if (meta.leader === null) return "none";
  return meta.leader === name ? "leader" : "member";
}

/** Offset and rate relative to this machine, each with its error bound. */
function clockText(clock: ClockReading | null): string {
  if (clock === null) return "-";
  const parts: string[] = [];
  if (clock.offsetMs !== null)
    parts.push(`${signed(clock.offsetMs, 1)} ±${clock.offsetErrorMs.toFixed(1)} ms`);
  if (clock.ratePpm !== null) {
    parts.push(`${signed(clock.ratePpm / 10_000, 2)} ±${(clock.rateErrorPpm / 10_000).toFixed(2)} %`);
  }
  return parts.join(", ");
}

function signed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return value < 0 ? text : `+${text}`;
}

function bucketText({ exists, stream, ...bucket }: BucketFacts): string {
  const name = `Bucket:  ${stream.replace(/^KV_/, "")}`;
  if (!exists) return `${name}, does not exist yet`;
  const { replicas, leader, peers, storage, maxAgeMs, republish, placement } = bucket;
  const followers = peers.map((peer) => `${peer.name}${peer.offline ? " (offline)" : ""}`);
  const where = leader === null ? "" : ` on ${[`${leader} (leader)`, ...followers].join(", ")}`;
  const tags =
    placement === null ? "" : [placement.cluster, ...placement.tags].filter((one) => one !== "").join(" ");
  const parts = [
    `${replicas === 1 ? "1 replica" : `${replicas} replicas`}${where}`,
    storage,
    maxAgeMs === 0 ? "no max-age" : `max-age ${maxAgeMs} ms`,
    republish ? "republish on" : "republish off",
    tags === "" ? "no placement" : `placement ${tags}`,
  ];
  return `${name}: ${parts.join("; ")}`;
}

function leaseText({ lease }: Facts): string {
  if (lease === null || lease.leader === null) return "Leader:  (none)";
  const age = `renewed ${(lease.ageMs / 1_000).toFixed(1)} s ago, TTL ${lease.ttlMs / 1_000} s`;
  return `Leader:  ${lease.leader}, epoch ${lease.epoch}, ${age}`;
}

function nodeTable(nodes: readonly ExaminedNode[], columns: number): Line[] {
  const head = "NODE ROLE UPTIME PRESENCE SILENCE TTL RTT VERSION CLOCK".split(" ");
  const rows = nodes.map((node) => [
    node.leads ? strong(node.nodeId) : node.nodeId,
    roleText(node),
    node.uptimeMs === null ? "-" : showSeconds(node.uptimeMs),
    node.presence ?? "-",
    silenceText(node.silenceMs),
    node.leaseTtlMs === null ? "-" : `${node.leaseTtlMs / 1_000} s`,
    node.roundTripMs === null ? "-" : `${node.roundTripMs.toFixed(1)} ms`,
    node.version ?? "-",
    clockText(node.clock),
  ]);
  return table(head, rows, columns);
}
