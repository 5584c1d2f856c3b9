/** Commands of nats-leader as processes: daemons with an HTTP server, and the exporter of the servers. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "./child-program.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const START_MS = 60_000;

export interface DaemonOptions {
  readonly folder: string;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly servers: readonly string[];
  /** Of its HTTP server on 127.0.0.1. */
  readonly port: number;
  /** More of the configuration file. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** Writes its configuration file; returns the path. */
export function daemonConfig({ folder, clusterId, nodeId, servers, port, more }: DaemonOptions): string {
  const file = join(folder, `${nodeId}.json`);
  const config = { clusterId, nodeId, nats: { servers }, http: { listen: `127.0.0.1:${port}` }, ...more };
  writeFileSync(file, JSON.stringify(config, null, 2));
  return file;
}

/** Resolves when its door answers. */
export async function startDaemon(config: string): Promise<ChildProgram> {
  const program = natsLeader(["daemon", "--config", config]);
  await program.line(/HTTP server at http/, START_MS);
  return program;
}

export interface Exporter {
  readonly program: ChildProgram;
  /** `host:port` */
  readonly address: string;
}

/** Resolves when it answers. @param streams Further streams, by name. */
export async function startExporter(
  monitors: readonly string[],
  port: number,
  streams: readonly string[] = [],
): Promise<Exporter> {
  const program = natsLeader([
    "doctor",
    "--prometheus",
    ...["--listen", `127.0.0.1:${port}`],
    ...["--timeout", "1s"],
    ...streams.flatMap((name) => ["--stream", name]),
    ...monitors.flatMap((url) => ["--monitor", url]),
  ]);
  await program.line(/serving the metrics/, START_MS);
  return { program, address: `127.0.0.1:${port}` };
}

/** Any command. */
export function natsLeader(args: readonly string[]): ChildProgram {
  return new ChildProgram({
    command: process.execPath,
    args: ["--import", import.meta.resolve("tsx"), MAIN, ...args],
  });
}
