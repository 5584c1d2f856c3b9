/** Every generated file of this example, by its path: `npm run generate` writes them, a test compares them. */
import { stringify } from "yaml";
import { dashboardJson } from "./dashboards/panel.ts";
import { DASHBOARDS } from "./dashboards.ts";
import { alertRules, otherExporterYml, prometheusYml, recordingRules, ruleTests } from "./prometheus.ts";

export function observabilityFiles(): ReadonlyMap<string, string> {
  return new Map([
    ["prometheus/prometheus.yml", prometheusYml()],
    ["prometheus/prometheus-nats-exporter.yml", otherExporterYml()],
    ["prometheus/rules/recording.yml", recordingRules()],
    ...under("prometheus/rules", alertRules()),
    ...under("prometheus/tests", ruleTests()),
    ["grafana/provisioning/datasources/prometheus.yml", datasource()],
    ["grafana/provisioning/dashboards/nats-leader.yml", provider()],
    ...[...DASHBOARDS].map(([name, dashboard]): [string, string] => [
      `grafana/dashboards/${name}.json`,
      dashboardJson(dashboard),
    ]),
  ]);
}

function under(folder: string, files: ReadonlyMap<string, string>): [string, string][] {
  return [...files].map(([name, text]) => [`${folder}/${name}`, text]);
}

function datasource(): string {
  const source = {
    name: "Prometheus",
    type: "prometheus",
    access: "proxy",
    url: "http://127.0.0.1:9090",
    isDefault: true,
  };
  return stringify({ apiVersion: 1, datasources: [source] });
}

function provider(): string {
  const options = { path: "$NATS_LEADER_DASHBOARDS" };
  return stringify({ apiVersion: 1, providers: [{ name: "nats-leader", type: "file", options }] });
}
