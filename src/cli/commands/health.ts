import { request } from "node:http";
import type { Command } from "commander";
import { type ListenAddress, parseListenAddress } from "../../config/listen.ts";
import { ClusterError, messageOf } from "../../errors.ts";
import { CliError, EXIT } from "../exit.ts";
import {
  type ClusterFlags,
  configOf,
  DEFAULT_TIMEOUT_MS,
  httpOption,
  positiveDuration,
  withClusterOptions,
} from "../options.ts";
import { print, printJson } from "../output.ts";

/** Any program may have answered. */
const MAX_BODY_CHARS = 65_536;

interface Flags extends ClusterFlags {
  readonly ready?: boolean;
}

export function health(command: Command): Command {
  return withClusterOptions(command)
    .addOption(httpOption())
    .option("--ready", "ask whether it is ready: it takes part, and NATS answers it")
    .option("--timeout <time>", "time limit for the answer (default: 2s)", positiveDuration)
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Asks the process of this host that answers HTTP at http.listen, and not NATS:
a daemon, or run. Exits 0 if its event loop answers, with --ready if it takes
part and NATS answers it; otherwise 1. Whether there is a leader, and whether
it is this node, does not matter. For HEALTHCHECK of a container.

Example:
  nats-leader health --http 127.0.0.1:9465`;

async function run(flags: Flags): Promise<void> {
  const { http } = configOf(flags, false, { forCluster: false, requireFiles: "none" });
  if (http === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "no HTTP address: pass --http, or set http.listen or NATS_LEADER_HTTP, as for the daemon",
    );
  }
  const path = flags.ready === true ? "/readyz" : "/livez";
  const { host, port } = reachable(addressOf(http.listen));
  const what = `${host.includes(":") ? `[${host}]` : host}:${port}${path}`;
  const { code, body } = await answerOf(host, port, path, flags.timeout ?? DEFAULT_TIMEOUT_MS).catch(
    (error: unknown) => {
      throw new CliError(EXIT.error, "NO_ANSWER", `no answer from ${what}: ${whyNone(error)}`);
    },
  );
  if (code !== 200) {
    const why = code === 503 ? notReadyText(body) : "it is another program, or the address of another server";
    throw new CliError(EXIT.error, "UNHEALTHY", `${what} answers ${code}: ${why}`);
  }
  if (flags.json === true) printJson({ ok: true, address: what });
  else print(`${what} answers`);
}

function addressOf(listen: string): ListenAddress {
  const address = parseListenAddress(listen);
  if (address !== null && address.port !== 0) return address;
  throw new ClusterError(
    "INVALID_CONFIG",
    `http.listen ${JSON.stringify(listen)} must name a port other than 0: which port was free is not known here`,
  );
}

/** An address of all interfaces can be reached by the loopback address. */
function reachable({ host, port }: ListenAddress): ListenAddress {
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  return host === "::" ? { host: "::1", port } : { host, port };
}

function whyNone(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") return messageOf(error);
  return "nothing listens there: start the daemon with --http or http.listen, or pass the address of its log line http-listening with --http";
}

/** With the reasons that the body of `/readyz` names. */
function notReadyText(body: string): string {
  const reasons = reasonsIn(body);
  return reasons.length === 0 ? "it is not ready" : `it is not ready: ${reasons.join("; ")}`;
}

function reasonsIn(body: string): string[] {
  try {
    const { reasons } = JSON.parse(body) as { readonly reasons?: unknown };
    return Array.isArray(reasons) ? reasons.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

interface HealthAnswer {
  readonly code: number;
  readonly body: string;
}

/** The whole answer counts for the limit, not only its first byte. Of its body, no more than `MAX_BODY_CHARS` is kept. */
function answerOf(host: string, port: number, path: string, timeoutMs: number): Promise<HealthAnswer> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const asking = request({ host, port, path, signal, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        if (body.length < MAX_BODY_CHARS) body = (body + text).slice(0, MAX_BODY_CHARS);
      });
      response.on("end", () => resolve({ code: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    asking.on("error", (error) =>
      reject(signal.aborted ? new Error(`nothing came within ${timeoutMs} ms`) : error),
    );
    asking.end();
  });
}
