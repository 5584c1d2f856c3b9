/** `doctor --prometheus`: the facts about the servers in the text format of Prometheus, printed once or served. */
import { InvalidArgumentError } from "commander";
import { type ListenAddress, parseListenAddress } from "../../config/listen.ts";
import type { DoctorOptions } from "../../doctor/doctor.ts";
import { Exporter } from "../../doctor/exporter/exporter.ts";
import { serveExporter } from "../../doctor/exporter/serve.ts";
import { ClusterError } from "../../errors.ts";
import { EXIT } from "../exit.ts";
import { note, printText } from "../output.ts";
import { untilSignal } from "../signals.ts";

type Servers = Pick<DoctorOptions, "monitors" | "tls" | "system" | "timeoutMs" | "expectedServers">;

export interface PrometheusFlags {
  /** `undefined`: print once. */
  readonly listen?: ListenAddress;
  readonly stream?: readonly string[];
}

/** Sets the exit code to 4 if it prints and no server has answered. */
export async function exportServers(
  servers: Servers,
  { listen, stream = [] }: PrometheusFlags,
): Promise<void> {
  if (servers.monitors.length === 0 && servers.system === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "--prometheus reads servers: pass --monitor http://HOST:8222 for each of them, or --system-creds or --system-user",
    );
  }
  const exporter = new Exporter({ ...servers, streams: stream });
  try {
    if (listen === undefined) await printOnce(exporter);
    else await serve(exporter, listen);
  } finally {
    await exporter.close();
  }
}

async function printOnce(exporter: Exporter): Promise<void> {
  const { text, reached, problems } = await exporter.read();
  printText(text.trimEnd());
  for (const { server, error } of problems) note(`${server}: ${error}`);
  if (reached === 0) process.exitCode = EXIT.unreachable;
}

async function serve(exporter: Exporter, address: ListenAddress): Promise<void> {
  const ending = untilSignal();
  const served = await serveExporter(exporter, address);
  try {
    note(`serving the metrics of the servers at ${served.url}`);
    if (!ending.signal.aborted) {
      await new Promise((resolve) => ending.signal.addEventListener("abort", resolve, { once: true }));
    }
  } finally {
    await served.close();
    ending.close();
  }
}

/** Parses `HOST:PORT`, `[IPV6]:PORT` or `PORT`, which is of 127.0.0.1. */
export function listenAddress(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address === null) throw new InvalidArgumentError("Must be HOST:PORT or PORT, such as 127.0.0.1:9466.");
  return address;
}
