/** Every generated file of this example, by its path: `npm run generate` writes them, a test compares them. */
import { stringify } from "yaml";
import { dashboardJson } from "./dashboards/panel.ts";
import { DASHBOARDS } from "./dashboards.ts";
import { alertRules, otherExporterYml, prometheusYml, recordingRules, ruleTests } from "./prometheus.ts";

export function observabilityFiles(): ReadonlyMap<string, string> {
  return new Map([
    ["prometheus/prometheus.yml", prometheusYml()],
    ["prometheus/prometheus-nats-exporter.yml", otherExporterYml()],
    ...under("prometheus", prometheusFiles()),
    ...under("prometheus/tests", ruleTests()),
    ...under("grafana", grafanaFiles("http://127.0.0.1:9090")),
  ]);
}

/** The rules, by their paths beside prometheus.yml. */
export function prometheusFiles(): ReadonlyMap<string, string> {
  return new Map([["rules/recording.yml", recordingRules()], ...under("rules", alertRules())]);
}

/** Dashboards, and where Grafana finds them and their data. */
export function grafanaFiles(prometheusUrl: string): ReadonlyMap<string, string> {
  return new Map([
    ["provisioning/datasources/prometheus.yml", datasource(prometheusUrl)],
    ["provisioning/dashboards/nats-leader.yml", provider()],
    ...[...DASHBOARDS].map(([name, dashboard]): [string, string] => [
      `dashboards/${name}.json`,
      dashboardJson(dashboard),
    ]),
  ]);
}

function under(folder: string, files: ReadonlyMap<string, string>): [string, string][] {
  return [...files].map(([name, text]) => [`${folder}/${name}`, text]);
}

function datasource(url: string): string {
  const source = { name: "Prometheus", type: "prometheus", access: "proxy", url, isDefault: true };
  return stringify({ apiVersion: 1, datasources: [source] });
}

function provider(): string {
  const options = { path: "$NATS_LEADER_DASHBOARDS" };
  return stringify({ apiVersion: 1, providers: [{ name: "nats-leader", type: "file", options }] });
}
