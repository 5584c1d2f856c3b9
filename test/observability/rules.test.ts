/** The rules and dashboards of examples/observability: up to date, valid, tested, and about metrics that exist. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parse } from "yaml";
import { runbookAnchor } from "../../examples/observability/source/alert.ts";
import { alertGroups } from "../../examples/observability/source/alerts.ts";
import { DASHBOARDS, dashboardQueries } from "../../examples/observability/source/dashboards.ts";
import { observabilityFiles } from "../../examples/observability/source/files.ts";
import { metricNames } from "../../examples/observability/source/names.ts";
import { alertRules, prometheusYml, recordingRules } from "../../examples/observability/source/prometheus.ts";
import { recordings } from "../../examples/observability/source/recording.ts";
import { HOOK_LIMIT_SECONDS } from "../../examples/observability/source/thresholds.ts";
import { REAL, times } from "../../examples/observability/source/time.ts";
import {
  SERVER_METRICS,
  type ServerMetricName,
  serverLabels,
  serverMetric,
} from "../../src/doctor/exporter/metrics.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { INSTRUMENTS, instruments, PREFIX } from "../../src/telemetry/instruments.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "examples/observability");
const promtool = findProgram("promtool");
const why = promtool === null ? " (SKIPPED: promtool is not installed: apt-get install prometheus)" : "";
const alerts = alertGroups(REAL).flatMap((group) => group.alerts);
const folder = mkdtempSync(join(tmpdir(), "nats-leader-rules-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: readonly string[]): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(promtool ?? "", args, { encoding: "utf8", cwd: folder });
  return { code: status, output: `${stdout}${stderr}` };
}

test("the generated files are those in the repository, and there are no others", () => {
  const files = observabilityFiles();
  for (const [path, text] of files) expect(readFileSync(join(FOLDER, path), "utf8"), path).toBe(text);
  const found = ["prometheus", "grafana"].flatMap((part) =>
    readdirSync(join(FOLDER, part), { recursive: true, encoding: "utf8" }).map((file) => join(part, file)),
  );
  expect(found.filter((file) => /\.(yml|json)$/.test(file)).sort()).toEqual([...files.keys()].sort());
});

test.skipIf(promtool === null)(`promtool accepts the configuration and the rules${why}`, () => {
  for (const name of ["prometheus.yml", "prometheus-nats-exporter.yml"]) {
    const checked = run("check", "config", join(FOLDER, "prometheus", name));
    expect(checked, checked.output).toMatchObject({ code: 0 });
  }
});

interface RuleTest {
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly object[] }[];
}

interface RuleGroup {
  readonly rules: readonly { readonly alert: string }[];
}

// promtool computes for seconds; on a busy machine, for a minute.
test.skipIf(promtool === null)(
  `every alert fires in one case and is quiet in another${why}`,
  {
    timeout: 200_000,
  },
  () => {
    const names: string[] = [];
    for (const { name } of alertGroups(REAL)) {
      const file = join(FOLDER, `prometheus/tests/${name}.test.yml`);
      const tested = run("test", "rules", file);
      expect(tested, tested.output).toMatchObject({ code: 0 });
      const { tests } = parse(readFileSync(file, "utf8")) as { readonly tests: readonly RuleTest[] };
      const rules = readFileSync(join(FOLDER, `prometheus/rules/${name}.yml`), "utf8");
      const { groups } = parse(rules) as { readonly groups: readonly RuleGroup[] };
      const cases = tests.flatMap((one) => one.alert_rule_test);
      for (const { alert } of groups.flatMap((group) => group.rules)) {
        names.push(alert);
        const own = cases.filter(({ alertname }) => alertname === alert);
        const fires = new Set(own.map(({ exp_alerts }) => exp_alerts.length > 0));
        expect([alert, [...fires].sort()]).toEqual([alert, [false, true]]);
      }
    }
    expect(names).toEqual(alerts.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  },
);

test.skipIf(promtool === null)(
  `every query of a dashboard is valid, and so are shortened rules${why}`,
  () => {
    const rules = dashboardQueries("1m").map(({ expr }, index) => ({ record: `query:${index}`, expr }));
    writeFileSync(join(folder, "queries.json"), JSON.stringify({ groups: [{ name: "queries", rules }] }));
    const short = times(0.05, 1);
    const files = new Map([...alertRules(short), ["recording.yml", recordingRules(short)]]);
    for (const [name, text] of files) writeFileSync(join(folder, name), text);
    const targets = { nodes: ["h:1"], servers: ["h:2"], bridge: ["targets.json"] };
    writeFileSync(join(folder, "prometheus.yml"), prometheusYml(short, targets, [...files.keys()]));
    const checked = [run("check", "rules", "queries.json"), run("check", "config", "prometheus.yml")];
    for (const { code, output } of checked) expect(code, output).toBe(0);
  },
);

test("every alert links to an entry of the runbook, and its text names only labels that it has", () => {
  const text = readFileSync(join(ROOT, "docs/operations.md"), "utf8");
  const headings = [...text.matchAll(/^#{2,3} (.*)$/gm)].map(([, title = ""]) => title.toLowerCase());
  expect(alerts.map(runbookAnchor).filter((anchor) => !headings.includes(anchor))).toEqual([]);
  const yaml = [...alertRules().values()].join("");
  const links = [...yaml.matchAll(/runbook_url: docs\/operations\.md#(\S+)/g)].map(([, anchor]) => anchor);
  expect(links).toEqual(alerts.map(runbookAnchor));
  for (const { name, summary, fires } of alerts) {
    const used = [...summary.matchAll(/\$labels\.(\w+)/g)].map(([, label = ""]) => label);
    // Nodes have a cluster, members have a group.
    const has = (labels: Readonly<Record<string, string>>, label: string): boolean =>
      label in labels || (label === "group" && "cluster" in labels);
    expect([name, used.filter((label) => !fires.labels.every((labels) => has(labels, label)))]).toEqual([
      name,
      [],
    ]);
    expect([name, fires.labels.length > 0]).toEqual([name, true]);
  }
});

test("rules, cases and dashboards use only metrics that are exported", () => {
  const known = new Set([...metricNames(), ...recordings(REAL).map(({ record }) => record)]);
  const used = [
    ...recordings(REAL).map(({ expr }) => expr),
    ...alerts.flatMap(({ expr, fires, alsoFires = {}, quiet }) => [
      expr,
      ...[fires, ...Object.values(alsoFires)].flatMap(({ series }) => Object.keys(series)),
      ...Object.keys(quiet.series),
    ]),
    ...dashboardQueries("1m").map(({ expr }) => expr),
  ].flatMap((text) => text.match(/(?<![\w:])(?:nats_leader|bridge)_\w+/g) ?? []);
  expect(new Set(used).size).toBeGreaterThan(50);
  expect([...new Set(used)].filter((name) => !known.has(name))).toEqual([]);
});

/** The labels that a metric of nodes or servers has, with all values where they are a closed set; `null`: another metric. */
function labelsOf(metric: string): ReadonlyMap<string, readonly string[] | null> | null {
  const open = (names: readonly string[]): [string, null][] => names.map((name) => [name, null]);
  const found = instruments.find(
    ([name]) => `${PREFIX}${name}` === metric.replace(/_(bucket|count|sum)$/, ""),
  );
  if (found !== undefined) {
    const [, { of, label, kind }] = found;
    const own = of.map((source) => (source === "node" ? "cluster" : "group"));
    const values = of.flatMap((source) => label?.values[source] ?? []);
    return new Map<string, readonly string[] | null>([
      ...open([...own, "node", "twin", ...(kind === "histogram" ? ["le"] : []), "job", "instance"]),
      ...(label === undefined ? [] : [[label.name, values] as [string, readonly string[]]]),
    ]);
  }
  const name = (Object.keys(SERVER_METRICS) as ServerMetricName[]).find(
    (one) => serverMetric(one) === metric,
  );
  return name === undefined ? null : new Map(open([...serverLabels(name), "job", "instance"]));
}

test("rules, cases and dashboards ask for labels and values that the metrics have", () => {
  const texts = [
    ...recordings(REAL).map(({ expr }) => expr),
    ...alerts.flatMap(({ expr, fires, alsoFires = {}, quiet }) => [
      expr,
      ...[fires, ...Object.values(alsoFires), quiet].flatMap(({ series }) => Object.keys(series)),
    ]),
    ...dashboardQueries("1m").map(({ expr }) => expr),
  ];
  const wrong: string[] = [];
  let seen = 0;
  for (const text of texts) {
    const metrics = [...text.matchAll(/(?<![\w:])(nats_leader_\w+)(?:\{([^}]*)\})?/g)];
    const known = metrics.map(([, metric = ""]) => labelsOf(metric));
    for (const [index, [, metric, selector = ""]] of metrics.entries())
      for (const [, label = "", operator = "", value = ""] of selector.matchAll(
        /(\w+)(=~|!~|!=|=)"([^"]*)"/g,
      )) {
        const labels = known[index];
        const values = labels?.get(label) ?? null;
        const asked = operator.endsWith("~") ? value.split("|") : [value];
        const isKnown =
          values === null || value.startsWith("$") || asked.every((one) => values.includes(one));
        if (labels?.has(label) !== true || !isKnown) wrong.push(`${metric} ${label}=${value}: ${text}`);
        seen += 1;
      }
    for (const [, list = ""] of text.matchAll(/\b(?:by|on) \(([^)]*)\)/g))
      for (const label of list.split(", "))
        if (metrics.length > 0 && !known.some((labels) => labels?.has(label) === true))
          wrong.push(`by ${label}: ${text}`);
  }
  expect(seen).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});

test("the limit of slow hooks is a bound of their histogram", () => {
  expect(INSTRUMENTS.hook_duration_seconds.buckets).toContain(HOOK_LIMIT_SECONDS);
});

test("panels have a place of their own, a text, and queries; dashboards have an identity", () => {
  const uids = [...DASHBOARDS.values()].map(({ uid }) => uid);
  expect(new Set(uids).size).toBe(uids.length);
  for (const [name] of DASHBOARDS) {
    const text = readFileSync(join(FOLDER, `grafana/dashboards/${name}.json`), "utf8");
    const { panels, templating } = JSON.parse(text) as {
      readonly panels: readonly {
        readonly id: number;
        readonly title: string;
        readonly description: string;
        readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
        readonly targets: readonly { readonly expr: string; readonly refId: string }[];
      }[];
      readonly templating: { readonly list: readonly { readonly name: string }[] };
    };
    const variables = templating.list.map((one) => `$${one.name}`);
    const cells = new Set<string>();
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { title, description, gridPos, targets } of panels) {
      const { x, y, w, h } = gridPos;
      expect([title, x + w <= 24, description.endsWith("."), targets.length > 0]).toEqual([
        title,
        true,
        true,
        true,
      ]);
      for (let column = x; column < x + w; column++)
        for (let row = y; row < y + h; row++) {
          expect([title, cells.has(`${column}/${row}`)]).toEqual([title, false]);
          cells.add(`${column}/${row}`);
        }
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      const inQueries = targets.flatMap(({ expr }) => expr.match(/\$\w+/g) ?? []);
      expect(inQueries.filter((one) => one !== "$__rate_interval" && !variables.includes(one))).toEqual([]);
    }
  }
});
