/** Every setting: its path in the file and its environment variables. */

/** `resources`: a number, or a list. */
export type Kind = "text" | "number" | "boolean" | "list" | "resources";

export interface Setting {
  /** As in the file: `election.leaseTtlMs`. */
  readonly path: string;
  readonly kind: Kind;
  /** Our environment variable. Overrides the file. */
  readonly variable: string;
  /** Environment variables shared with other tools. Used only for what the file does not set. */
  readonly shared?: readonly string[];
  /** An environment variable that a platform sets by itself: the weakest source. */
  readonly platform?: string;
  /** Part of the authentication. Shared variables for it are used together or not at all. */
  readonly login?: boolean;
  /** Refused in the file, and never shown. */
  readonly secret?: boolean;
}

/** Durations of the section `election`. */
export const TIMING = [
  "leaseTtlMs",
  "heartbeatIntervalMs",
  "requestTimeoutMs",
  "retryDelayMs",
  "successorGraceMs",
  "cooldownMs",
  "drainTimeoutMs",
] as const;

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function ours(path: string, kind: Kind): Setting {
  return { path, kind, variable: `NATS_LEADER_${snake(path.split(".").at(-1) ?? path)}` };
}

function login(path: string, variable: string, shared: string, secret = false): Setting {
  return { path, kind: "text", variable, shared: [shared], login: true, ...(secret ? { secret } : {}) };
}

export const SETTINGS: readonly Setting[] = [
  ours("clusterId", "text"),
  { ...ours("nodeId", "text"), shared: ["INSTANCE_ID"], platform: "HOSTNAME" },
  {
    path: "nats.servers",
    kind: "list",
    variable: "NATS_LEADER_SERVERS",
    shared: ["NATS_URL", "NATS_HOST", "NATS_PORT"],
    platform: "NATS_PORT",
  },
  { path: "nats.monitors", kind: "list", variable: "NATS_LEADER_MONITOR" },
  login("nats.credentials", "NATS_LEADER_CREDS", "NATS_CREDS"),
  login("nats.user", "NATS_LEADER_USER", "NATS_USER"),
  login("nats.password", "NATS_LEADER_PASSWORD", "NATS_PASSWORD", true),
  login("nats.passwordFile", "NATS_LEADER_PASSWORD_FILE", "NATS_PASSWORD_FILE"),
  login("nats.token", "NATS_LEADER_TOKEN", "NATS_TOKEN", true),
  login("nats.tokenFile", "NATS_LEADER_TOKEN_FILE", "NATS_TOKEN_FILE"),
  login("nats.nkeyFile", "NATS_LEADER_NKEY_FILE", "NATS_NKEY"),
  { path: "nats.tls.ca", kind: "text", variable: "NATS_LEADER_TLS_CA", shared: ["NATS_CA"] },
  { path: "nats.tls.cert", kind: "text", variable: "NATS_LEADER_TLS_CERT", shared: ["NATS_CERT"] },
  { path: "nats.tls.key", kind: "text", variable: "NATS_LEADER_TLS_KEY", shared: ["NATS_KEY"] },
  ours("nats.inboxPrefix", "text"),
  ours("nats.connectTimeoutMs", "number"),
  ours("nats.domain", "text"),
  ours("nats.reconnectWaitMs", "number"),
  { path: "vip.address", kind: "text", variable: "NATS_LEADER_VIP_ADDRESS" },
  { path: "vip.netmask", kind: "number", variable: "NATS_LEADER_VIP_NETMASK" },
  { path: "vip.interface", kind: "text", variable: "NATS_LEADER_VIP_INTERFACE" },
  ...TIMING.map((name) => ours(`election.${name}`, "number")),
  ours("election.crashDetection", "text"),
  ours("election.silenceMs", "number"),
  ours("election.observer", "boolean"),
  ours("election.interop", "text"),
  ours("election.replicas", "number"),
  { path: "service.enabled", kind: "boolean", variable: "NATS_LEADER_SERVICE" },
  { path: "service.version", kind: "text", variable: "NATS_LEADER_SERVICE_VERSION" },
  { path: "history.enabled", kind: "boolean", variable: "NATS_LEADER_HISTORY" },
  { path: "history.maxTerms", kind: "number", variable: "NATS_LEADER_HISTORY_MAX_TERMS" },
  { path: "http.listen", kind: "text", variable: "NATS_LEADER_HTTP" },
  { path: "http.token", kind: "text", variable: "NATS_LEADER_HTTP_TOKEN", secret: true },
  { path: "http.tokenFile", kind: "text", variable: "NATS_LEADER_HTTP_TOKEN_FILE" },
  { path: "http.hosts", kind: "list", variable: "NATS_LEADER_HTTP_HOSTS" },
  { path: "group.id", kind: "text", variable: "NATS_LEADER_GROUP" },
  ours("group.resources", "resources"),
  ours("group.weight", "number"),
  ours("group.zone", "text"),
  ours("group.maxOwned", "number"),
  ours("group.settleMs", "number"),
  ours("group.rejoinGraceMs", "number"),
  ours("group.unownedGraceMs", "number"),
  ours("group.maxMoves", "number"),
  ours("group.createBucket", "boolean"),
];

/** Our variables that are no settings. */
export const OTHER_VARIABLES: readonly string[] = [
  "NATS_LEADER_CONFIG",
  "NATS_LEADER_SYSTEM_USER",
  "NATS_LEADER_SYSTEM_PASSWORD",
  "NATS_LEADER_SYSTEM_CREDS",
  "NATS_LEADER_CACHE",
];

/** A variable's text as a value of the file. Text that cannot be converted is kept; validation refuses it and quotes it. */
export function convert(kind: Kind, text: string): unknown {
  switch (kind) {
    case "number":
      // "replicas" is a number or "auto".
      return /^-?\d+$/.test(text.trim()) ? Number(text) : text;
    case "boolean":
      return /^(1|true|yes|on)$/i.test(text) ? true : /^(0|false|no|off)$/i.test(text) ? false : text;
    case "resources":
      return /^\d+$/.test(text.trim()) ? Number(text) : convert("list", text);
    case "list":
      return text
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "");
    case "text":
      return text;
    default:
      return kind satisfies never;
  }
}
