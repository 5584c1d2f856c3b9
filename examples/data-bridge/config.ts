/**
 * The settings of the bridge: flags, then the configuration file, then the environment, then defaults. The servers are found by the library's
 * `findServers()`. All problems are reported
 * together: a second run to find the second typing error would cost more than this code.
 */
import { parseArgs } from "node:util";
import { findServers } from "nats-leader/manager";

/** What each instance process receives from the starter; secrets are in it, so that it goes through stdin and never through argv. */
export interface BridgeConfig {
  /** `null`: the bridge starts a nats-server of its own, which ends with it. */
  readonly servers: readonly string[] | null;
  readonly login: Login;
  /** URL of a database; `null`: the bridge starts a PostgreSQL of its own if its programs are installed. */
  readonly postgres: string | null;
  readonly sink: SinkKind | "auto";
  /** The stream of ticks. The names of all other streams, subjects and of the group are made of this one. */
  readonly stream: string;
  readonly partitions: number;
  readonly instances: number;
  /** Ticks per second. */
  readonly rate: number;
  readonly symbols: number;
  /** Most messages in one transaction of the sink. */
  readonly batch: number;
  /** Most messages of one partition that an instance holds in memory. With more than half as many it requests no more. */
  readonly maxPending: number;
  /** Attempts to work on one message, before it becomes a dead letter. */
  readonly tries: number;
  readonly leaseTtlMs: number;
  readonly settleMs: number;
  /** Pause before an instance that has ended by itself is started again. */
  readonly restartMs: number;
  /** Longest wait for the end of the backlog, when the bridge stops. */
  readonly drainMs: number;
}

export type SinkKind = "postgres" | "ledger";

export interface Login {
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  readonly token?: string | undefined;
  /** Path of a `.creds` file. */
  readonly credsFile?: string | undefined;
}

/** How the starter runs: not of interest to the instances. */
export interface RunOptions {
  /** Commands, separated by `;`. `null`: they are read from stdin. */
  readonly script: string | null;
  readonly json: boolean;
  /** File that the log lines of all instances are appended to. */
  readonly logs: string | null;
  /** File with the addresses of the instances, for `file_sd_configs` of Prometheus. */
  readonly targets: string | null;
  readonly help: boolean;
}

export interface Settings {
  readonly config: BridgeConfig;
  readonly run: RunOptions;
  /** Where the servers were named, such as `--servers` or `NATS_HOST`; `null`: nowhere. */
  readonly serversFrom: string | null;
}

/** The settings cannot be used. `problems` has one line for each, which names the place, the value and the rule. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the settings of the bridge are not valid:\n${problems.map((line) => `  ${line}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Kills, freezes and scales while ticks flow, and both kinds of message that a sink must not store. */
export const CHECK_SCRIPT =
  "wait balanced; duplicate 20; poison 2; kill 2; wait balanced; freeze 1; wait taken; thaw 1; scale 5; wait balanced; scale 1; wait taken";

interface NumberSetting {
  readonly flag: string;
  readonly min: number;
  readonly max: number;
  readonly fallback: number;
  readonly what: string;
}

const NUMBERS = {
  instances: { flag: "instances", min: 0, max: 64, fallback: 3, what: "instances" },
  partitions: { flag: "partitions", min: 1, max: 1000, fallback: 6, what: "partitions of the stream" },
  rate: { flag: "rate", min: 0, max: 100_000, fallback: 600, what: "ticks per second" },
  symbols: { flag: "symbols", min: 1, max: 100_000, fallback: 600, what: "symbols (keys)" },
  batch: { flag: "batch", min: 1, max: 900, fallback: 200, what: "messages per transaction" },
  maxPending: { flag: "max-pending", min: 1, max: 1e6, fallback: 1000, what: "messages read ahead" },
  tries: { flag: "tries", min: 1, max: 100, fallback: 3, what: "attempts before a dead letter" },
  leaseTtlMs: { flag: "lease-ttl-ms", min: 1000, max: 3_600_000, fallback: 10_000, what: "lease, in ms" },
  settleMs: { flag: "settle-ms", min: 0, max: 3_600_000, fallback: 1000, what: "calm before a move, in ms" },
  restartMs: {
    flag: "restart-ms",
    min: 0,
    max: 3_600_000,
    fallback: 1000,
    what: "pause before a restart, in ms",
  },
  drainMs: {
    flag: "drain-ms",
    min: 0,
    max: 3_600_000,
    fallback: 60_000,
    what: "wait for the backlog, in ms",
  },
} satisfies Record<string, NumberSetting>;

type NumberName = keyof typeof NUMBERS;

/** A list, or a text with commas: not read as the other settings are. */
const SERVERS = ["url", "cluster_urls"];
const TEXTS = ["user", "password", "token", "creds", "postgres", "sink", "stream"] as const;
const SINKS = ["auto", "postgres", "ledger"];

export const USAGE: string = `npm run bridge -- [options]

  --instances N      instance processes (3); "scale N" changes it while the bridge runs
  --config FILE      JSON: cluster_urls (a list) or url (comma separated), user, password, token, creds,
                     postgres, sink, stream, and the numbers below as instances, maxPending, …
  --servers URLS     NATS servers, comma separated; without them, url, cluster_urls, NATS_URL and
                     NATS_HOST/NATS_PORT the bridge starts a nats-server of its own
  --sink KIND        postgres, ledger (JetStream), or auto: postgres if it is there
  --postgres URL     a database; without it the bridge starts a PostgreSQL of its own
  --stream NAME      name of the stream (TICKS)
${Object.values(NUMBERS)
  .filter(({ flag }) => flag !== "instances")
  .map(({ flag, what, fallback }) => `  ${`--${flag} N`.padEnd(19)}${what} (${fallback})`)
  .join("\n")}
  --script COMMANDS  runs commands, separated by ";", then stops and counts
  --check            the script that kills, freezes and scales
  --logs FILE        appends the log lines of all instances
  --targets FILE     keeps the addresses of the instances there, for Prometheus (file_sd_configs)
  --json             prints JSON lines

Exit codes: 0 every message was stored exactly once or is a dead letter, 1 not so, 2 wrong options, 130 after Ctrl-C.`;

/**
 * @param argv - Arguments after the program's name.
 * @param readFile - Reads the configuration file; its error becomes a problem.
 * @throws ConfigError with all problems.
 */
export function readSettings(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
): Settings {
  const problems: string[] = [];
  const flags = parseFlags(argv);
  const file = flags["config"] === undefined ? {} : parseFile(String(flags["config"]), readFile, problems);
  const from = flags["config"] === undefined ? "" : `${String(flags["config"])}: `;
  const text = (key: (typeof TEXTS)[number], flag?: string): string | undefined => {
    const value = flag === undefined ? undefined : flags[flag];
    return typeof value === "string" ? value : textIn(file, key, from, problems);
  };
  const numbers = Object.fromEntries(
    (Object.keys(NUMBERS) as NumberName[]).map((name) => {
      const { flag } = NUMBERS[name];
      const given = flags[flag];
      const [place, value] =
        given === undefined ? [`${from}${name}`, file[name]] : [`--${flag}`, Number(given)];
      return [name, numberIn(NUMBERS[name], place, value, problems)];
    }),
  ) as Record<NumberName, number>;
  const where = serversIn(
    flags,
    { name: String(flags["config"] ?? "the file"), settings: file },
    env,
    problems,
  );
  const sink = text("sink", "sink") ?? "auto";
  if (!SINKS.includes(sink)) problems.push(`sink ${JSON.stringify(sink)} must be ${SINKS.join(", ")}`);
  const stream = text("stream", "stream") ?? "TICKS";
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(stream))
    problems.push(`stream ${JSON.stringify(stream)} must be 1 to 32 of the characters A-Z a-z 0-9 _ -`);
  const postgres = text("postgres", "postgres") ?? null;
  if (postgres !== null && !/^postgres(ql)?:\/\/[^\s]+$/.test(postgres))
    problems.push(
      "postgres must be postgres://user@host:port/database (the value is not shown: it may have a password)",
    );
  if (postgres !== null && sink === "ledger") problems.push("sink ledger must come without postgres");
  const login = loginIn(text, env, problems);
  if (flags["check"] === true && flags["script"] !== undefined)
    problems.push("--check and --script exclude each other");
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    config: { ...numbers, servers: where.servers, login, postgres, sink: sink as SinkKind | "auto", stream },
    run: {
      script: flags["check"] === true ? CHECK_SCRIPT : ((flags["script"] as string | undefined) ?? null),
      json: flags["json"] === true,
      logs: (flags["logs"] as string | undefined) ?? null,
      targets: (flags["targets"] as string | undefined) ?? null,
      help: flags["help"] === true,
    },
    serversFrom: where.from,
  };
}

type Flags = Record<string, string | boolean | undefined>;

function parseFlags(argv: readonly string[]): Flags {
  const valued = ["config", "servers", "sink", "postgres", "stream", "script", "logs", "targets"];
  const options = {
    ...Object.fromEntries(valued.map((name) => [name, { type: "string" as const }])),
    ...Object.fromEntries(Object.values(NUMBERS).map(({ flag }) => [flag, { type: "string" as const }])),
    ...Object.fromEntries(["check", "json", "help"].map((name) => [name, { type: "boolean" as const }])),
  };
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values as Flags;
  } catch (error) {
    throw new ConfigError([`${(error as Error).message.split("\n")[0]} (see --help)`]);
  }
}

function parseFile(
  path: string,
  readFile: (path: string) => string,
  problems: string[],
): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFile(path));
  } catch (error) {
    // The message of JSON.parse quotes the text, which can have a password.
    const why = error instanceof SyntaxError ? "is not JSON" : `cannot be read: ${(error as Error).message}`;
    problems.push(`--config ${path} ${why}`);
    return {};
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    problems.push(`--config ${path} must be an object, such as {"cluster_urls": ["nats://localhost:4222"]}`);
    return {};
  }
  const known: readonly string[] = [...SERVERS, ...TEXTS, ...Object.keys(NUMBERS)];
  for (const key of Object.keys(value)) {
    if (!known.includes(key))
      problems.push(`${path}: ${JSON.stringify(key)} is no setting; there are ${known.join(", ")}`);
  }
  return value as Record<string, unknown>;
}

function textIn(
  file: Record<string, unknown>,
  key: string,
  from: string,
  problems: string[],
): string | undefined {
  const value = file[key];
  if (value === undefined || (typeof value === "string" && value !== "")) return value as string | undefined;
  problems.push(`${from}${key} must be a text that is not empty`);
  return undefined;
}

function numberIn(rule: NumberSetting, place: string, value: unknown, problems: string[]): number {
  if (value === undefined) return rule.fallback;
  if (typeof value === "number" && Number.isInteger(value) && value >= rule.min && value <= rule.max)
    return value;
  problems.push(`${place} (${rule.what}) must be a whole number from ${rule.min} to ${rule.max}`);
  return rule.fallback;
}

/** The library knows the ways in which pipelines name their servers, and their order. */
function serversIn(
  flags: Flags,
  file: { readonly name: string; readonly settings: object },
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): { readonly servers: readonly string[] | null; readonly from: string | null } {
  const flag = { name: "--servers", value: flags["servers"] as string | undefined };
  const found = findServers({ flag, file, env });
  problems.push(...found.problems);
  if (Object.keys(found.login).length > 0)
    problems.push(
      `${found.from}: a server has a login (hidden); use user and NATS_PASSWORD, NATS_TOKEN or creds`,
    );
  return found;
}

function loginIn(
  text: (key: (typeof TEXTS)[number]) => string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): Login {
  const user = text("user");
  const pass = text("password") ?? (user === undefined ? undefined : env["NATS_PASSWORD"] || undefined);
  const token = text("token") ?? (env["NATS_TOKEN"] || undefined); // an empty variable counts as not set
  const credsFile = text("creds");
  if ((user === undefined) !== (pass === undefined))
    problems.push("user and password go together; the password can be in the variable NATS_PASSWORD");
  if ([user, token, credsFile].filter((one) => one !== undefined).length > 1)
    problems.push("user, token (NATS_TOKEN) and creds exclude each other");
  return { user, pass, token, credsFile };
}
