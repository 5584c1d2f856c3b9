/** Each option by itself: type, default and range, for validation, errors and the table in the README. */
// zod/mini: bundlers drop unused parts; 22 kB remain instead of 454.
import * as z from "zod/mini";
import { LOG_LEVELS } from "../log/logger.ts";
import { DOMAIN, ID as ID_PATTERN, MAX_TEXT_LENGTH, SEMVER } from "../nats/identity.ts";
import { CRASH_DETECTIONS, DEFAULTS, GO_CLUSTER_SERVICE_VERSION, type NodeOptions } from "./options.ts";

export interface OptionInfo {
  readonly type: string;
  /** Default, for the table. */
  readonly fallback: string;
  /** Completes "must be ...", in the table and in errors. */
  readonly rule: string;
  readonly schema: z.ZodMiniType;
  /** Errors must not quote its value. */
  readonly secret?: boolean;
}

export type OptionName = keyof NodeOptions;

export const MIN_REQUEST_TIMEOUT_MS = 50;
/** Smaller values would suspend a leader whenever its machine is busy. */
export const MIN_SILENCE_MS = 500;
/** Half of the longest lease. */
const MAX_SILENCE_MS = 1_800_000;

function matching(pattern: RegExp): z.ZodMiniType {
  return z.string().check(z.regex(pattern));
}

const NON_EMPTY = z.string().check(z.minLength(1));

const ID: Omit<OptionInfo, "fallback"> = {
  type: "string",
  rule: "1 to 64 of the characters A-Z a-z 0-9 _ - (it becomes a token of NATS subjects)",
  schema: matching(ID_PATTERN),
};

export function duration(min: number, max: number, fallback: string, relation = ""): OptionInfo {
  return {
    type: "number",
    fallback,
    rule: `a whole number of milliseconds from ${min} to ${max}${relation}`,
    schema: z.int().check(z.minimum(min), z.maximum(max)),
  };
}

function secret(rule: string, pattern: RegExp): OptionInfo {
  return { type: "string", fallback: "none", rule, schema: matching(pattern), secret: true };
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

function hasFunctions(...names: string[]): (value: unknown) => boolean {
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

/** The source of validation, errors, suggestions and the table in the README. */
export const OPTIONS: { readonly [Name in OptionName]-?: OptionInfo } = {
  clusterId: { ...ID, fallback: "required" },
  nodeId: { ...ID, fallback: "host name and 6 random characters" },
  servers: {
    type: "string or string[]",
    fallback: "required without `connection`",
    rule: "one or a list of nats://host:port, tls://host:port or host:port",
    schema: z.union([z.string(), z.array(z.string()).check(z.minLength(1))]),
  },
  connection: {
    type: "NatsConnection",
    fallback: "none",
    rule: "an open connection of @nats-io/transport-node; excludes all other options on how to connect",
    schema: z.custom(hasFunctions("publish", "request", "subscribe", "status", "isClosed")),
  },
  user: { type: "string", fallback: "none", rule: "a user name, with `pass`", schema: NON_EMPTY },
  pass: secret("the password of `user`", /./s),
  token: secret("a token", /./s),
  nkeySeed: secret("the seed of a user nkey (SU and 56 of A-Z 2-7)", /^SU[A-Z2-7]{56}$/),
  jwt: secret("a user JWT, with `nkeySeed`", /^[\w-]+\.[\w-]+\.[\w-]+$/),
  credsFile: {
    type: "string",
    fallback: "none",
    rule: "the path of a .creds file (its text belongs in creds)",
    schema: matching(/^(?!.*-----BEGIN)[^\r\n]+$/s),
    // The value can be the text of a creds file, by mistake.
    secret: true,
  },
  creds: secret("the text of a .creds file (its path belongs in credsFile)", /-----BEGIN NATS USER JWT-----/),
  tls: {
    type: "{ ca, cert, key, handshakeFirst }",
    fallback: "none; `{}` for tls:// servers",
    rule: "an object with ca, cert, key (each a path or PEM text, cert and key together) and handshakeFirst (boolean)",
    schema: z.strictObject({
      ca: z.optional(NON_EMPTY),
      cert: z.optional(NON_EMPTY),
      key: z.optional(NON_EMPTY),
      handshakeFirst: z.optional(z.boolean()),
    }),
    secret: true,
  },
  inboxPrefix: {
    type: "string",
    fallback: "_INBOX",
    rule: "a subject without wildcards, such as _INBOX_billing",
    schema: matching(/^[^\s.*>]+(\.[^\s.*>]+)*$/),
  },
  domain: {
    type: "string",
    fallback: "that of the server",
    rule: "the name of a JetStream domain: 1 to 64 printable ASCII characters other than . * >",
    schema: matching(DOMAIN),
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
  crashDetection: oneOf(CRASH_DETECTIONS, DEFAULTS.crashDetection),
  silenceMs: {
    type: "number",
    fallback: `${DEFAULTS.silenceMs}; 0 with crashDetection "lease", and with "presence" and leaseTtlMs < 5000; with "silence" at most half of leaseTtlMs`,
    rule: `0 (no promise of silence) or a whole number of milliseconds from ${MIN_SILENCE_MS} to ${MAX_SILENCE_MS}; at most half of leaseTtlMs`,
    schema: z.union([z.literal(0), z.int().check(z.minimum(MIN_SILENCE_MS), z.maximum(MAX_SILENCE_MS))]),
  },
  observer: yesOrNo("true: follow, never compete", DEFAULTS.observer),
  interop: oneOf(["go-cluster"], "none"),
  replicas: oneOf(["auto", 1, 3, 5], String(DEFAULTS.replicas)),
  service: yesOrNo("answer requests as a NATS micro service", DEFAULTS.service),
  serviceVersion: {
    type: "string",
    fallback: `this package's; with interop ${GO_CLUSTER_SERVICE_VERSION}`,
    rule: `a semantic version such as 1.2.3, of at most ${MAX_TEXT_LENGTH} characters`,
    schema: z.string().check(z.maxLength(MAX_TEXT_LENGTH), z.regex(SEMVER)),
  },
  logger: {
    type: "Logger or false",
    fallback: "JSON on stderr",
    rule: "an object with the functions debug, info, warn and error (pino has them), or false",
    schema: z.union([z.literal(false), z.custom(hasFunctions("debug", "info", "warn", "error"))]),
  },
  logLevel: oneOf(LOG_LEVELS, "LOG_LEVEL, else info"),
};

/** What an object of options may contain. */
export interface OptionTable<Name extends string> {
  readonly infos: Readonly<Record<Name, OptionInfo>>;
  readonly names: readonly Name[];
  readonly schema: z.ZodMiniType;
  /** Names of the same options elsewhere, in lower case, besides the usual ones. */
  readonly aliases: Readonly<Record<string, Name>>;
}

export function optionTable<Name extends string>(
  infos: Readonly<Record<Name, OptionInfo>>,
  required: readonly Name[],
  aliases: Readonly<Record<string, Name>> = {},
): OptionTable<Name> {
  const names = Object.keys(infos) as Name[];
  const schema = z.strictObject(
    Object.fromEntries(
      names.map((name) => [
        name,
        required.includes(name) ? infos[name].schema : z.optional(infos[name].schema),
      ]),
    ),
  );
  return { infos, names, schema, aliases };
}

export const NODE_OPTIONS: OptionTable<OptionName> = optionTable<OptionName>(OPTIONS, ["clusterId"]);
