/**
 * `npm run observability`: three NATS servers, three daemons with an HTTP server, the exporter of the servers, Prometheus with the files of this
 * folder, and Grafana if it is installed. Everything ends with it, and nothing is kept.
 *
 * Exit codes: 1 if something cannot be started, 2 for wrong options, 130 after Ctrl-C, 143 after SIGTERM.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { startNatsCluster } from "../../src/testing.ts";
import { prometheusFiles } from "./source/files.ts";
import { prometheusYml } from "./source/prometheus.ts";
import { REAL } from "./source/time.ts";
import type { ChildProgram } from "./stack/child-program.ts";
import { startGrafana } from "./stack/grafana.ts";
import { daemonConfig, startDaemon, startExporter } from "./stack/nats-leader.ts";
import { Prometheus } from "./stack/prometheus.ts";

const HOST = "127.0.0.1";
const NODES = ["a", "b", "c"];
const USAGE = `npm run observability -- [--port N]

Starts three NATS servers, three daemons, the exporter of the servers, Prometheus, and
Grafana if it is installed, until Ctrl-C.

  --port N   port of Prometheus (default: a free one)`;

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

async function main(): Promise<number> {
  let port: number;
  try {
    const { values } = parseArgs({
      options: { port: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help === true) {
      console.log(USAGE);
      return 0;
    }
    port = values.port === undefined ? await freePort(HOST) : Number(values.port);
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new Error("--port must be a port, such as 9090");
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const ending = new AbortController();
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (ending.signal.aborted) process.exit(code); // the second signal; everything else ends with this process
      ending.abort(code);
    });
  }
  const ends: (() => unknown)[] = [];
  try {
    await start(port, ends, ending.signal);
    await new Promise<void>((resolve) => {
      if (ending.signal.aborted) resolve();
      ending.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  } catch (error) {
    if (!ending.signal.aborted) {
      console.error((error as Error).message);
      ending.abort(1);
    }
  }
  for (const end of ends.reverse()) await end();
  return ending.signal.reason as number;
}

/** @param ends Receives what undoes each step, in the order of the steps. */
async function start(port: number, ends: (() => unknown)[], signal: AbortSignal): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-observability-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const servers = await startNatsCluster({ signal, onProgress: (line) => console.log(line) });
  ends.push(() => servers[Symbol.asyncDispose]());
  const keep = (program: ChildProgram): void => void ends.push(() => program.stop());
  const startNode = async (nodeId: string): Promise<{ readonly door: string; readonly line: string }> => {
    const port = await freePort(HOST);
    const config = daemonConfig({ folder, clusterId: "demo", nodeId, servers: servers.urls, port });
    const daemon = await startDaemon(config);
    keep(daemon);
    const door = `${HOST}:${port}`;
    return { door, line: `node ${nodeId}       http://${door}/metrics   process ${daemon.pid}` };
  };
  const monitors = servers.servers.map(({ monitorUrl }) => monitorUrl);
  const [exporter, ...nodes] = await Promise.all([
    startExporter(monitors, await freePort(HOST)),
    ...NODES.map(startNode),
  ]);
  keep(exporter.program);
  signal.throwIfAborted();
  const bridge = join(folder, "data-bridge.json");
  const targets = { nodes: nodes.map(({ door }) => door), servers: [exporter.address], bridge: [bridge] };
  const files = new Map([...prometheusFiles(), ["prometheus.yml", prometheusYml(REAL, targets)]]);
  const prometheus = await Prometheus.start({ folder: join(folder, "prometheus"), port, files });
  ends.push(() => prometheus.stop());
  const grafana = await startGrafana({ folder, port: await freePort(HOST), prometheusUrl: prometheus.url });
  if (grafana !== null) keep(grafana.program);

  console.log(`NATS         ${servers.urls.join(",")}`);
  for (const { line } of nodes) console.log(line);
  console.log(`servers      http://${exporter.address}/metrics`);
  console.log(`Prometheus   ${prometheus.url}/alerts`);
  console.log(
    `Grafana      ${grafana === null ? "not installed; import grafana/dashboards/*.json" : grafana.url}`,
  );
  console.log(`With load:   npm run bridge -- --servers ${servers.urls.join(",")} --targets ${bridge}`);
  console.log("A fault:     kill -STOP, or kill -KILL, with the process of the leader");
  console.log("ready; Ctrl-C ends everything");
}

process.exit(await main());
