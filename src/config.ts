/**
 * The options of a node: what they mean, what is accepted, what follows from them.
 *
 * Timing is checked as relations, not only as ranges. With W = leaseTtlMs, margin = max(250, 5 % of W) and the leader's
 * span S = W - margin (`election/lease.ts`), every accepted configuration satisfies
 *
 *     heartbeatIntervalMs < W / 2
 *     heartbeatIntervalMs + 2 x requestTimeoutMs + retryDelayMs <= S        one lost renewal is not the end of a term
 *     heartbeatIntervalMs + 2 x reconnectWaitMs + requestTimeoutMs <= S     nor is one lost connection
 *     successorGraceMs <= W
 *
 * and the defaults fit themselves to any valid `leaseTtlMs` and `heartbeatIntervalMs`.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { leaseMarginMs, leaseSpanMs } from "./election/lease.ts";
import type { CrashDetection, ElectionConfig } from "./election/types.ts";
import { ClusterError } from "./errors.ts";
import { LOG_LEVELS, type Logger, type LogLevel, redactText, redactUrl } from "./logger.ts";
import type { NatsOptions, TlsOptions } from "./nats/connection.ts";

/** Version of this package; a test compares it with package.json, which a bundled application would not have. */
export const PACKAGE_VERSION = "0.1.0";

/** Version go-cluster's micro service answers with. */
const GO_CLUSTER_SERVICE_VERSION = "1.0.0";

export type Interop = "go-cluster";
export type Replicas = "auto" | 1 | 3 | 5;

/**
 * What `new Node(options, hooks)` takes. Durations are whole milliseconds. An option that is `undefined` counts as not
 * given. Whatever is wrong is reported at once, in one `ClusterError` with code `INVALID_CONFIG`.
 */
export interface NodeOptions {
  /**
   * Which leadership the node competes for. Required. 1 to 64 of `A-Z a-z 0-9 _ -`: it becomes part of a bucket name
   * and of NATS subjects, where `.`, `*` and `>` have meanings.
   */
  readonly clusterId: string;
  /**
   * Name of this node, unique in the cluster. Required; same alphabet as `clusterId`. Nothing is guessed from the host
   * name: two processes on one host would be one node. A second process with the same id does not share the first's
   * lease (every `start()` draws an incarnation), but hooks and logs can't tell the two apart.
   */
  readonly nodeId: string;

  /**
   * Servers to connect to: `nats://host:port`, `tls://host:port` or `host:port`, one or a list; port 4222 unless given.
   * Required unless `connection` is. There is no default, because two nodes that each find a server of their own on
   * localhost are two leaders. One `tls://` makes TLS mandatory for all. A url may carry `user:pass@` or `token@`
   * (percent-encoded), the same for all servers; it counts as an authentication method.
   */
  readonly servers?: string | readonly string[] | undefined;
  /**
   * An open connection to use instead of `servers`. It is never closed by this library, and options that say how to
   * connect are refused beside it. `crashDetection: "presence"` needs it to ping at least as often as our own
   * (`pingInterval` 1000, `maxPingOut` 2).
   */
  readonly connection?: NatsConnection | undefined;
  /** User name; needs `pass`. One authentication method at most: user/pass, token, nkeySeed, jwt, credsFile, creds. */
  readonly user?: string | undefined;
  /** Password of `user`. */
  readonly pass?: string | undefined;
  /** Token. */
  readonly token?: string | undefined;
  /** Seed of a user nkey: `SU` and 56 more characters. Alone an authentication method, beside `jwt` its signing key. */
  readonly nkeySeed?: string | undefined;
  /** User JWT; needs `nkeySeed`. */
  readonly jwt?: string | undefined;
  /** Path of a `.creds` file. Read again at every reconnect, so it can be rotated in place. */
  readonly credsFile?: string | undefined;
  /** Text of a `.creds` file. */
  readonly creds?: string | undefined;
  /**
   * TLS: `ca`, `cert` and `key` are each the path of a file or PEM text, `cert` and `key` go together. `handshakeFirst`
   * (false): the server expects TLS before its first message. `{}`: TLS with the system's authorities.
   */
  readonly tls?: TlsOptions | undefined;
  /** Prefix of reply subjects, for users that may not subscribe to `_INBOX.>`. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** Longest wait for one server to answer when connecting. Default 5000; 100 to 300000. */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Pause before the same server is dialled again, plus up to as much again at random. Default 100, at most 5 % of
   * `leaseTtlMs`; at least 10. Twice it, a heartbeat and a request must fit into the leader's span: otherwise every
   * lost connection would end the term.
   */
  readonly reconnectWaitMs?: number | undefined;

  /**
   * W: how long followers wait for a silent leader. Default 10000; 1000 to 3600000. The leader itself stops at
   * S = W - max(250, 5 % of W) after *sending* its last confirmed renewal; from 1000 up S is at least three quarters
   * of W. Should be the same on all nodes; where it is not, followers wait the longer of theirs and the leader's.
   */
  readonly leaseTtlMs?: number | undefined;
  /**
   * Pause between renewals of the lease. Default 3000, at most 30 % of `leaseTtlMs`; at least 50 and less than half of
   * `leaseTtlMs`, so that one lost renewal can be repeated before the deadline.
   */
  readonly heartbeatIntervalMs?: number | undefined;
  /**
   * Longest wait for the outcome of one read or write. Default 1000, at most 15 % of `leaseTtlMs` and what the
   * heartbeat leaves; at least 50. heartbeatIntervalMs + 2 x requestTimeoutMs + retryDelayMs must fit into the
   * leader's span: a renewal, its repetition and the full time for both answers.
   */
  readonly requestTimeoutMs?: number | undefined;
  /** Pause before a failed read or write is repeated. Default 250, at most 5 % of `leaseTtlMs`; 10 to 60000. */
  readonly retryDelayMs?: number | undefined;
  /** How long the others let a named successor go first after a handover. Default 50; 0 to 60000, at most the TTL. */
  readonly successorGraceMs?: number | undefined;
  /** How long a node that stepped down does not campaign, unless it is named. Default `leaseTtlMs`; 0 to 86400000. */
  readonly cooldownMs?: number | undefined;
  /**
   * How long a leader that leaves waits for its work to end before it lets the lease go; renewals continue meanwhile.
   * Default 10000; 0 (don't wait) to 3600000.
   */
  readonly drainTimeoutMs?: number | undefined;
  /**
   * `presence` (default): a crashed leader is noticed in milliseconds; in exchange a leader that loses its connection
   * is suspended until it is back. `lease`: neither, a dead leader is outwaited.
   */
  readonly crashDetection?: CrashDetection | undefined;

  /** True: follow without ever competing. Default false. */
  readonly observer?: boolean | undefined;
  /**
   * `go-cluster`: nodes of the Go library compete for the same lease. The bucket is made with max-age = `leaseTtlMs`, as
   * they need it, and the micro service reports version 1.0.0. Default: none.
   */
  readonly interop?: Interop | undefined;
  /** Copies of the bucket if this node makes it. Default `auto`: 3 on a cluster of servers, else 1. */
  readonly replicas?: Replicas | undefined;
  /** Whether to answer status, ping and stepdown requests as a NATS micro service. Default true. */
  readonly service?: boolean | undefined;
  /** Version the micro service reports, a semantic version. Default: this package's; with `interop` 1.0.0. */
  readonly serviceVersion?: string | undefined;

  /** Takes the log: anything with pino's `debug`, `info`, `warn`, `error`. `false`: silence. Default: JSON on stderr. */
  readonly logger?: Logger | false | undefined;
  /** Level of the built-in logger: debug, info, warn, error, silent. Default: `LOG_LEVEL`, else info. */
  readonly logLevel?: LogLevel | undefined;
}

/** `NodeOptions` after validation, with every default filled in. `nats` holds secrets; don't print it. */
export interface ResolvedOptions {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
  readonly heartbeatIntervalMs: number;
  readonly requestTimeoutMs: number;
  readonly retryDelayMs: number;
  readonly successorGraceMs: number;
  readonly cooldownMs: number;
  readonly drainTimeoutMs: number;
  readonly crashDetection: CrashDetection;
  readonly observer: boolean;
  readonly interop: Interop | undefined;
  readonly replicas: Replicas;
  readonly service: boolean;
  readonly serviceVersion: string;
  readonly logger: Logger | false | undefined;
  readonly logLevel: LogLevel | undefined;
  /** For `connectNats`. Its servers carry no credentials any more; those of a url are in `user`, `pass`, `token`. */
  readonly nats: NatsOptions;
  /** For `Election`: everything but the incarnation, which is drawn at `start()`. */
  readonly election: Omit<ElectionConfig, "incarnation">;
}

/** What an option is when it is not given. Durations that depend on `leaseTtlMs` are those of its default. */
export const DEFAULTS: Readonly<
  Pick<
    ResolvedOptions,
    | "leaseTtlMs"
    | "heartbeatIntervalMs"
    | "requestTimeoutMs"
    | "retryDelayMs"
    | "successorGraceMs"
    | "cooldownMs"
    | "drainTimeoutMs"
    | "crashDetection"
    | "observer"
    | "replicas"
    | "service"
    | "serviceVersion"
  > & { connectTimeoutMs: number; reconnectWaitMs: number; logLevel: LogLevel }
> = Object.freeze({
  leaseTtlMs: 10_000,
  heartbeatIntervalMs: 3_000,
  requestTimeoutMs: 1_000,
  retryDelayMs: 250,
  successorGraceMs: 50,
  cooldownMs: 10_000,
  drainTimeoutMs: 10_000,
  crashDetection: "presence",
  observer: false,
  replicas: "auto",
  service: true,
  serviceVersion: PACKAGE_VERSION,
  connectTimeoutMs: 5_000,
  reconnectWaitMs: 100,
  logLevel: "info",
});

// --------------------------------------------------------------------------------------------- what is accepted

interface OptionInfo {
  readonly type: string;
  /** As the table shows it. */
  readonly fallback: string;
  /** Completes "must be ...", in the table and in errors. */
  readonly rule: string;
  readonly schema: z.ZodType;
  /** Its value is shown nowhere. */
  readonly secret?: boolean;
}

type OptionName = keyof NodeOptions;

const MIN_REQUEST_TIMEOUT_MS = 50;

const ID: Omit<OptionInfo, "fallback"> = {
  type: "string",
  rule: "1 to 64 of the characters A-Z a-z 0-9 _ - (it becomes a token of NATS subjects)",
  schema: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
};

function duration(min: number, max: number, fallback: string, relation = ""): OptionInfo {
  return {
    type: "number",
    fallback,
    rule: `a whole number of milliseconds from ${min} to ${max}${relation}`,
    schema: z.int().min(min).max(max),
  };
}

function secret(rule: string, pattern: RegExp): OptionInfo {
  return { type: "string", fallback: "none", rule, schema: z.string().regex(pattern), secret: true };
}

function oneOf(values: readonly (string | number)[], fallback: string): OptionInfo {
  const quoted = values.map((value) => JSON.stringify(value));
  const last = quoted.pop();
  return {
    type: [...quoted, last].join(" or "),
    fallback,
    rule: quoted.length === 0 ? `${last}` : `${quoted.join(", ")} or ${last}`,
    schema: z.literal([...values]),
  };
}

function yesOrNo(rule: string, fallback: boolean): OptionInfo {
  return {
    type: "boolean",
    fallback: String(fallback),
    rule: `true or false (${rule})`,
    schema: z.boolean(),
  };
}

const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*))*)?(\+[\dA-Za-z-]+(\.[\dA-Za-z-]+)*)?$/;

function hasFunctions(...names: string[]): (value: unknown) => boolean {
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

/** The one list that validation, errors, suggestions and the README's table are made from. */
const OPTIONS: { readonly [Name in OptionName]-?: OptionInfo } = {
  clusterId: { ...ID, fallback: "required" },
  nodeId: { ...ID, fallback: "required" },
  servers: {
    type: "string or string[]",
    fallback: "required without `connection`",
    rule: "one or a list of nats://host:port, tls://host:port or host:port",
    schema: z.union([z.string(), z.array(z.string()).min(1)]),
  },
  connection: {
    type: "NatsConnection",
    fallback: "none",
    rule: "an open connection of @nats-io/transport-node, instead of everything else that says how to connect",
    schema: z.custom(hasFunctions("publish", "request", "subscribe", "status", "isClosed")),
  },
  user: { type: "string", fallback: "none", rule: "a user name, with `pass`", schema: z.string().min(1) },
  pass: secret("the password of `user`", /./s),
  token: secret("a token", /./s),
  nkeySeed: secret("the seed of a user nkey (SU and 56 of A-Z 2-7)", /^SU[A-Z2-7]{56}$/),
  jwt: secret("a user JWT, with `nkeySeed`", /^[\w-]+\.[\w-]+\.[\w-]+$/),
  credsFile: {
    type: "string",
    fallback: "none",
    rule: "the path of a .creds file (its text belongs in creds)",
    schema: z.string().regex(/^(?!.*-----BEGIN)[^\r\n]+$/s),
    // Somebody may have put the text here.
    secret: true,
  },
  creds: secret("the text of a .creds file (its path belongs in credsFile)", /-----BEGIN NATS USER JWT-----/),
  tls: {
    type: "{ ca, cert, key, handshakeFirst }",
    fallback: "none; `{}` for tls:// servers",
    rule: "an object with ca, cert, key (each a path or PEM text, cert and key together) and handshakeFirst (boolean)",
    schema: z.strictObject({
      ca: z.string().min(1).optional(),
      cert: z.string().min(1).optional(),
      key: z.string().min(1).optional(),
      handshakeFirst: z.boolean().optional(),
    }),
    secret: true,
  },
  inboxPrefix: {
    type: "string",
    fallback: "_INBOX",
    rule: "a subject without wildcards, such as _INBOX_billing",
    schema: z.string().regex(/^[^\s.*>]+(\.[^\s.*>]+)*$/),
  },
  connectTimeoutMs: duration(100, 300_000, String(DEFAULTS.connectTimeoutMs)),
  reconnectWaitMs: duration(
    10,
    60_000,
    `${DEFAULTS.reconnectWaitMs}, at most 5 % of leaseTtlMs`,
    "; heartbeatIntervalMs + 2 x reconnectWaitMs + requestTimeoutMs fit into the leader's span",
  ),
  leaseTtlMs: duration(
    1_000,
    3_600_000,
    String(DEFAULTS.leaseTtlMs),
    "; the leader's span is this less max(250, 5 %)",
  ),
  heartbeatIntervalMs: duration(
    50,
    1_799_999,
    `${DEFAULTS.heartbeatIntervalMs}, at most 30 % of leaseTtlMs`,
    "; less than half of leaseTtlMs",
  ),
  requestTimeoutMs: duration(
    MIN_REQUEST_TIMEOUT_MS,
    300_000,
    `${DEFAULTS.requestTimeoutMs}, at most 15 % of leaseTtlMs`,
    "; heartbeatIntervalMs + 2 x requestTimeoutMs + retryDelayMs fit into the leader's span",
  ),
  retryDelayMs: duration(10, 60_000, `${DEFAULTS.retryDelayMs}, at most 5 % of leaseTtlMs`),
  successorGraceMs: duration(0, 60_000, String(DEFAULTS.successorGraceMs), "; at most leaseTtlMs"),
  cooldownMs: duration(0, 86_400_000, "leaseTtlMs"),
  drainTimeoutMs: duration(0, 3_600_000, String(DEFAULTS.drainTimeoutMs)),
  crashDetection: oneOf(["presence", "lease"], DEFAULTS.crashDetection),
  observer: yesOrNo("true: follow without competing", DEFAULTS.observer),
  interop: oneOf(["go-cluster"], "none"),
  replicas: oneOf(["auto", 1, 3, 5], String(DEFAULTS.replicas)),
  service: yesOrNo("answer requests as a NATS micro service", DEFAULTS.service),
  serviceVersion: {
    type: "string",
    fallback: `this package's; with interop ${GO_CLUSTER_SERVICE_VERSION}`,
    rule: "a semantic version such as 1.2.3",
    schema: z.string().regex(SEMVER),
  },
  logger: {
    type: "Logger or false",
    fallback: "JSON on stderr",
    rule: "an object with the functions debug, info, warn and error (pino has them), or false",
    schema: z.union([z.literal(false), z.custom(hasFunctions("debug", "info", "warn", "error"))]),
  },
  logLevel: oneOf(LOG_LEVELS, "LOG_LEVEL, else info"),
};

const NAMES = Object.keys(OPTIONS) as OptionName[];
const REQUIRED: readonly OptionName[] = ["clusterId", "nodeId"];

const SCHEMA: z.ZodType = z.strictObject(
  Object.fromEntries(
    NAMES.map((name) => {
      const { schema } = OPTIONS[name];
      return [name, REQUIRED.includes(name) ? schema : schema.optional()];
    }),
  ),
);

/** Every option as a Markdown table; the README's is made from it. */
export function optionsTable(): string {
  const rows = NAMES.map((name) => {
    const { type, fallback, rule } = OPTIONS[name];
    return `| \`${name}\` | ${type} | ${fallback} | ${rule} |`;
  });
  return ["| option | type | default | must be |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

// --------------------------------------------------------------------------------------------- validation

/** Checks everything and fills in the defaults. Throws one `INVALID_CONFIG` that lists every problem. Does no I/O. */
export function resolveOptions(options: NodeOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalid([`options ${show(options)} must be an object`]);
  }
  const each = checkEach(options);
  const valid = (...names: OptionName[]): boolean => !names.some((name) => each.invalid.has(name));
  const servers = parseServers(valid("servers") ? options.servers : undefined);
  const problems = [
    ...each.problems,
    ...timingProblems(options, valid),
    ...servers.problems,
    ...connectionProblems(options, valid),
  ];
  if (problems.length > 0) throw invalid(problems);
  return resolved(options, servers);
}

function invalid(problems: readonly string[]): ClusterError {
  const lines = problems.map((problem) => `\n  ${problem}`);
  return new ClusterError("INVALID_CONFIG", `invalid node options:${lines.join("")}`);
}

interface EachChecked {
  readonly problems: readonly string[];
  readonly invalid: ReadonlySet<OptionName>;
}

/** One line for each option that is wrong by itself, and for each that does not exist. */
function checkEach(options: object): EachChecked {
  const problems = new Set<string>();
  const wrongOnes = new Set<OptionName>();
  for (const issue of SCHEMA.safeParse(options).error?.issues ?? []) {
    const [name, part] = issue.path as [OptionName?, PropertyKey?];
    if (name !== undefined) wrongOnes.add(name);
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) problems.add(unknownKey(name, key));
    } else if (name !== undefined) {
      problems.add(wrong(name, part, (options as Record<OptionName, unknown>)[name]));
    } else throw new Error(`bug: unexpected issue ${issue.code}`);
  }
  return { problems: [...problems], invalid: wrongOnes };
}

function wrong(name: OptionName, part: PropertyKey | undefined, value: unknown): string {
  const { rule, schema } = OPTIONS[name];
  if (value === undefined) return `${name} is missing; it must be ${rule}`;
  if (name === "tls" && part !== undefined) {
    const inner = (value as Record<PropertyKey, unknown>)[part];
    return `tls.${String(part)} ${kindOf(inner)} must fit into tls, ${rule}`;
  }
  return `${quote(name, value)} must be ${rule}${hintFor(schema, value)}`;
}

/** Option and value, as far as the value may be shown. */
function quote(name: OptionName, value: unknown): string {
  return `${name} ${OPTIONS[name].secret === true ? kindOf(value) : show(value)}`;
}

/** Most strings in place of numbers and booleans come from the environment. */
function hintFor(schema: z.ZodType, value: unknown): string {
  if (typeof value !== "string") return "";
  const asBoolean = value === "true" || value === "false";
  const asNumber = value.trim() !== "" && Number.isFinite(Number(value));
  if (asNumber && schema.safeParse(Number(value)).success) {
    return ", as a number: environment variables are strings, convert them with Number(...)";
  }
  if (asBoolean && schema.safeParse(value === "true").success) {
    return ', as a boolean: environment variables are strings, convert them with ... === "true"';
  }
  return "";
}

const MAX_SHOWN = 80;
const MAX_ITEMS_SHOWN = 5;

/** A value as an error quotes it. */
function show(value: unknown): string {
  if (typeof value === "string") {
    const safe = redactText(redactUrl(value));
    return JSON.stringify(safe.length > MAX_SHOWN ? `${safe.slice(0, MAX_SHOWN)}...` : safe);
  }
  if (Array.isArray(value)) {
    const items = value
      .slice(0, MAX_ITEMS_SHOWN)
      .map((item) => (Array.isArray(item) ? kindOf(item) : show(item)));
    return `[${items.join(", ")}${value.length > MAX_ITEMS_SHOWN ? ", ..." : ""}]`;
  }
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) {
    return String(value);
  }
  return kindOf(value);
}

/** What kind of value it is, for one that must not be shown. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "string") return value === "" ? "(an empty string)" : "(a hidden string)";
  if (Array.isArray(value)) return "(an array)";
  return typeof value === "object" ? "(an object)" : `(a ${typeof value})`;
}

// --------------------------------------------------------------------------------------------- suggestions

/** Names that are used for these things elsewhere, go-cluster included; in lower case. */
const ALIASES: Readonly<Record<string, OptionName>> = {
  ttl: "leaseTtlMs",
  leasettl: "leaseTtlMs",
  leaseduration: "leaseTtlMs",
  heartbeat: "heartbeatIntervalMs",
  heartbeatms: "heartbeatIntervalMs",
  heartbeatinterval: "heartbeatIntervalMs",
  renewinterval: "heartbeatIntervalMs",
  timeout: "requestTimeoutMs",
  url: "servers",
  urls: "servers",
  natsurl: "servers",
  natsurls: "servers",
  nats: "servers",
  nc: "connection",
  natsconnection: "connection",
  username: "user",
  password: "pass",
  nkey: "nkeySeed",
  seed: "nkeySeed",
  credentials: "creds",
  natscreds: "credsFile",
  id: "nodeId",
  name: "nodeId",
  cluster: "clusterId",
  version: "serviceVersion",
  log: "logger",
  level: "logLevel",
};

const TLS_NAMES = ["ca", "cert", "key", "handshakeFirst"] as const;

/** `within`: the option whose value has the key. */
function unknownKey(within: OptionName | undefined, key: string): string {
  const path = within === undefined ? "" : `${within}.`;
  const suggestion = within === undefined ? nearest(key, NAMES, ALIASES) : nearest(key, TLS_NAMES, {});
  const shown = redactText(redactUrl(key)).slice(0, MAX_SHOWN);
  return `${path}${shown} is not an option${suggestion === undefined ? "" : `; did you mean ${path}${suggestion}?`}`;
}

function nearest(
  key: string,
  names: readonly string[],
  aliases: Readonly<Record<string, string>>,
): string | undefined {
  const wanted = key.toLowerCase().replaceAll(/[_-]/g, "").slice(0, MAX_SHOWN);
  if (Object.hasOwn(aliases, wanted)) return aliases[wanted];
  const ranked = names
    .map((name) => ({ name, distance: editDistance(wanted, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(wanted.length / 4))) return best.name;
  const start = names.filter((name) => wanted.length >= 2 && name.toLowerCase().startsWith(wanted));
  if (start.length === 1) return start[0];
  return names.find((name) => name.length >= 2 && wanted.startsWith(name.toLowerCase()));
}

/** Levenshtein, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

// --------------------------------------------------------------------------------------------- timing

interface Timing {
  readonly leaseTtlMs: number;
  readonly heartbeatIntervalMs: number;
  readonly requestTimeoutMs: number;
  readonly retryDelayMs: number;
  readonly reconnectWaitMs: number;
}

/** Given values, and defaults that fit them. Shares of the TTL, in order: 30 + 2 x 15 + 5 % of it, of a span of >= 75 %. */
function timingOf(options: NodeOptions): Timing {
  const leaseTtlMs = options.leaseTtlMs ?? DEFAULTS.leaseTtlMs;
  const share = (fallback: number, part: number): number => Math.min(fallback, Math.floor(leaseTtlMs * part));
  const heartbeatIntervalMs = options.heartbeatIntervalMs ?? share(DEFAULTS.heartbeatIntervalMs, 0.3);
  const retryDelayMs = options.retryDelayMs ?? share(DEFAULTS.retryDelayMs, 0.05);
  const room = Math.floor((leaseSpanMs(leaseTtlMs) - heartbeatIntervalMs - retryDelayMs) / 2);
  const fitting = Math.min(share(DEFAULTS.requestTimeoutMs, 0.15), room);
  return {
    leaseTtlMs,
    heartbeatIntervalMs,
    retryDelayMs,
    requestTimeoutMs: options.requestTimeoutMs ?? Math.max(MIN_REQUEST_TIMEOUT_MS, fitting),
    reconnectWaitMs: options.reconnectWaitMs ?? share(DEFAULTS.reconnectWaitMs, 0.05),
  };
}

type IsValid = (...names: OptionName[]) => boolean;

function timingProblems(options: NodeOptions, valid: IsValid): string[] {
  if (!valid("leaseTtlMs")) return [];
  const problems: string[] = [];
  const { leaseTtlMs, heartbeatIntervalMs } = timingOf(options);
  const grace = options.successorGraceMs ?? DEFAULTS.successorGraceMs;
  if (valid("successorGraceMs") && grace > leaseTtlMs) {
    problems.push(
      `successorGraceMs ${grace} must be at most leaseTtlMs ${leaseTtlMs}, so that a successor that does not come costs no more than a dead leader`,
    );
  }
  if (!valid("heartbeatIntervalMs")) return problems;
  if (heartbeatIntervalMs >= leaseTtlMs / 2) {
    // The sums below would only repeat it.
    return [
      ...problems,
      `heartbeatIntervalMs ${heartbeatIntervalMs} must be less than half of leaseTtlMs ${leaseTtlMs} (${Math.ceil(leaseTtlMs / 2) - 1} at most), so that one lost renewal can be repeated before the deadline`,
    ];
  }
  if (!valid("requestTimeoutMs", "retryDelayMs")) return problems;
  const retry = spanProblem(
    options,
    [
      ["heartbeatIntervalMs", 1],
      ["requestTimeoutMs", 2],
      ["retryDelayMs", 1],
    ],
    ["requestTimeoutMs", "retryDelayMs", "heartbeatIntervalMs"],
    "a renewal that got no answer can be repeated, with its full time for an answer, before the deadline",
  );
  if (retry !== null) return [...problems, retry];
  if (!valid("reconnectWaitMs") || options.connection !== undefined) return problems;
  const reconnect = spanProblem(
    options,
    [
      ["heartbeatIntervalMs", 1],
      ["reconnectWaitMs", 2],
      ["requestTimeoutMs", 1],
    ],
    ["reconnectWaitMs", "requestTimeoutMs", "heartbeatIntervalMs"],
    "a leader whose connection drops (the pause is up to twice reconnectWaitMs) can be back and renew before the deadline",
  );
  return reconnect === null ? problems : [...problems, reconnect];
}

/** A sum that must fit into the leader's span. Blames the first of `suspects` that was given. */
function spanProblem(
  options: NodeOptions,
  terms: readonly (readonly [keyof Timing, number])[],
  suspects: readonly (keyof Timing)[],
  reason: string,
): string | null {
  const timing = timingOf(options);
  const { leaseTtlMs } = timing;
  const span = Math.floor(leaseSpanMs(leaseTtlMs));
  const sum = terms.reduce((total, [name, times]) => total + times * timing[name], 0);
  if (sum <= span) return null;
  const blamed = suspects.find((name) => options[name] !== undefined) ?? "leaseTtlMs";
  const formula = terms
    .map(([name, times]) => `${times === 1 ? "" : `${times} x `}${name} ${timing[name]}`)
    .join(" + ");
  const margin = Math.ceil(leaseMarginMs(leaseTtlMs));
  return `${blamed} ${timing[blamed]} does not fit: ${formula} = ${sum} must be at most ${span} (leaseTtlMs ${leaseTtlMs} less its margin ${margin}), so that ${reason}`;
}

// --------------------------------------------------------------------------------------------- connection

/** Options that say how a connection is opened, and mean nothing for one that is open. */
const CONNECTING: readonly OptionName[] = [
  "servers",
  "user",
  "pass",
  "token",
  "nkeySeed",
  "jwt",
  "credsFile",
  "creds",
  "tls",
  "inboxPrefix",
  "connectTimeoutMs",
  "reconnectWaitMs",
];

function connectionProblems(options: NodeOptions, valid: IsValid): string[] {
  const given = (name: OptionName): boolean => options[name] !== undefined;
  const problems: string[] = [];
  if (given("connection")) {
    const useless = CONNECTING.filter(given);
    if (useless.length > 0) {
      const rule =
        "the connection is open already; it and options that say how to connect exclude each other";
      problems.push(`connection (an object) must come without ${useless.join(", ")}: ${rule}`);
    }
  } else if (!given("servers")) {
    problems.push(
      "servers is missing; it must be one or a list of nats://host:port, unless an open connection is given",
    );
  }
  if (given("user") && !given("pass")) problems.push(`${quote("user", options.user)} must come with pass`);
  if (given("pass") && !given("user")) problems.push(`${quote("pass", options.pass)} must come with user`);
  if (given("jwt") && !given("nkeySeed")) {
    problems.push(`${quote("jwt", options.jwt)} must come with nkeySeed, the key that signs for it`);
  }
  const methods = methodsOf(options);
  if (methods.length > 1) {
    problems.push(`${methods.join(", ")} (hidden): must be one authentication method, not ${methods.length}`);
  }
  if (given("tls") && valid("tls")) {
    const { cert, key } = options.tls ?? {};
    if ((cert === undefined) !== (key === undefined)) {
      problems.push(
        `tls.${cert === undefined ? "key" : "cert"} (hidden) must come with its counterpart: cert and key go together`,
      );
    }
  }
  if (given("logLevel") && given("logger")) {
    problems.push(
      `${quote("logLevel", options.logLevel)} must come without logger: it is the level of the built-in logger, another has its own`,
    );
  }
  return problems;
}

function methodsOf(options: NodeOptions): string[] {
  const { servers } = options;
  const urls = typeof servers === "string" ? [servers] : Array.isArray(servers) ? servers : [];
  const candidates: readonly (readonly [string, boolean])[] = [
    ["user/pass", options.user !== undefined || options.pass !== undefined],
    ["token", options.token !== undefined],
    [
      options.jwt === undefined ? "nkeySeed" : "jwt/nkeySeed",
      options.jwt !== undefined || options.nkeySeed !== undefined,
    ],
    ["credsFile", options.credsFile !== undefined],
    ["creds", options.creds !== undefined],
    ["credentials in servers", urls.some((url) => typeof url === "string" && url.includes("@"))],
  ];
  return candidates.filter(([, given]) => given).map(([name]) => name);
}

/** A server's address as an error quotes it: `user:pass` without a host looks like a host with an odd port. */
function showServer(text: string): string {
  const safe = redactUrl(text);
  const [, before, after] = /^((?:[a-z]+:\/\/)?(?:\[[0-9a-f:.]*\]|[^:]*):)(?!\/\/)(.*)$/is.exec(safe) ?? [];
  return show(after === undefined || /^\d*\/?$/.test(after) ? safe : `${before}***`);
}

type Login = Pick<NatsOptions, "user" | "pass" | "token">;

interface ParsedServers {
  readonly urls: readonly string[];
  readonly login: Login;
  /** One of them insists on TLS. */
  readonly tls: boolean;
  readonly problems: readonly string[];
}

const SERVER = /^(?:(nats|tls):\/\/)?(?:(.*)@)?([^\s@:/?#,[\]]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/is;
const DEFAULT_PORT = "4222";

/** Addresses without credentials, and the credentials, which must be the same wherever there are any. */
function parseServers(servers: NodeOptions["servers"]): ParsedServers {
  const texts = typeof servers === "string" ? [servers] : (servers ?? []);
  const urls: string[] = [];
  const logins = new Map<string, Login>();
  const problems: string[] = [];
  for (const text of texts) {
    const [, scheme, userinfo, host, port = DEFAULT_PORT] = SERVER.exec(text.trim()) ?? [];
    const login = userinfo === undefined ? {} : loginOf(userinfo);
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
      const hint = text.includes(",") ? "; a list is an array" : "";
      problems.push(
        `servers ${showServer(text)} must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535${hint}`,
      );
    } else if (login === null) {
      problems.push(
        `servers ${showServer(text)} must have credentials as user:pass@ or token@, special characters percent-encoded`,
      );
    } else {
      urls.push(`${scheme?.toLowerCase() ?? "nats"}://${host}:${port}`);
      if (userinfo !== undefined) logins.set(JSON.stringify(login), login);
    }
  }
  if (logins.size > 1) {
    problems.push(
      `servers ${show(servers)} must all have the same credentials: after a reconnect any of them may be in use`,
    );
  }
  const [login = {}] = logins.values();
  return { urls, login, tls: urls.some((url) => url.startsWith("tls:")), problems };
}

function loginOf(userinfo: string): Login | null {
  const colon = userinfo.indexOf(":");
  try {
    if (colon < 0) return userinfo === "" ? null : { token: decodeURIComponent(userinfo) };
    const user = decodeURIComponent(userinfo.slice(0, colon));
    const pass = decodeURIComponent(userinfo.slice(colon + 1));
    return user === "" || pass === "" ? null : { user, pass };
  } catch {
    // Malformed percent-encoding. The error quotes the input, so it is not passed on.
    return null;
  }
}

// --------------------------------------------------------------------------------------------- result

/** `options` without its `undefined` members. */
function definedOf<T extends object>(options: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof T]?: Exclude<T[Name], undefined> };
}

function natsOptions(options: NodeOptions, servers: ParsedServers, timing: Timing): NatsOptions {
  if (options.connection !== undefined) return { connection: options.connection };
  const { user, pass, token, nkeySeed, jwt, credsFile, creds, inboxPrefix } = options;
  const tls = options.tls ?? (servers.tls ? {} : undefined);
  return {
    ...definedOf({ user, pass, token, nkeySeed, jwt, credsFile, creds, inboxPrefix }),
    ...servers.login,
    ...(tls === undefined ? {} : { tls: Object.freeze(definedOf(tls)) }),
    servers: Object.freeze(servers.urls),
    connectTimeoutMs: options.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs,
    reconnectWaitMs: timing.reconnectWaitMs,
  };
}

function resolved(options: NodeOptions, servers: ParsedServers): ResolvedOptions {
  const timing = timingOf(options);
  const { clusterId, nodeId, interop, logger, logLevel } = options;
  const { leaseTtlMs, heartbeatIntervalMs, requestTimeoutMs, retryDelayMs } = timing;
  const successorGraceMs = options.successorGraceMs ?? DEFAULTS.successorGraceMs;
  const cooldownMs = options.cooldownMs ?? leaseTtlMs;
  const crashDetection = options.crashDetection ?? DEFAULTS.crashDetection;
  const observer = options.observer ?? DEFAULTS.observer;
  const shared = {
    nodeId,
    crashDetection,
    leaseTtlMs,
    heartbeatIntervalMs,
    requestTimeoutMs,
    retryDelayMs,
    successorGraceMs,
    cooldownMs,
  };
  return Object.freeze({
    ...shared,
    clusterId,
    observer,
    interop,
    logger,
    logLevel,
    drainTimeoutMs: options.drainTimeoutMs ?? DEFAULTS.drainTimeoutMs,
    replicas: options.replicas ?? DEFAULTS.replicas,
    service: options.service ?? DEFAULTS.service,
    serviceVersion:
      options.serviceVersion ??
      (interop === "go-cluster" ? GO_CLUSTER_SERVICE_VERSION : DEFAULTS.serviceVersion),
    nats: Object.freeze(natsOptions(options, servers, timing)),
    election: Object.freeze({ ...shared, competes: !observer }),
  });
}
