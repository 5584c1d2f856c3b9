/** The schema of the configuration file. `schema/config.schema.json` is generated from it, with the descriptions. */
import { isIP } from "node:net";
import * as z from "zod/mini";
import { INTERFACE_NAME } from "../../system/interface-name.ts";
import { OPTIONS, type OptionName } from "../accepted.ts";
import { GROUP_OPTIONS } from "../group.ts";
import { HTTP_OFF, isHostName, parseListenAddress } from "../listen.ts";
import { PACKAGE_VERSION } from "../resolve.ts";
import { monitorUrl } from "./monitors.ts";

/** The schema in an installed package, for editors; `nats-leader config schema` prints it. */
export const SCHEMA_URL: string = "./node_modules/nats-leader/schema/config.schema.json";

const MAX_TERMS = 100_000;

/** go-cluster's file has the zero value for a field that is not set. */
function orZero(schema: z.ZodMiniType): z.ZodMiniType {
  return z.optional(z.union([z.literal(0), schema]));
}

function orEmpty(schema: z.ZodMiniType): z.ZodMiniType {
  return z.optional(z.union([z.literal(""), schema]));
}

function described(description: string, schema: z.ZodMiniType): z.ZodMiniType {
  return schema.check(z.meta({ description }));
}

/** A field that may be missing. */
function maybe(description: string, schema: z.ZodMiniType): z.ZodMiniType {
  return z.optional(described(description, schema));
}

/** The schema of the node option `name`. */
function option(name: OptionName, fallback: string = OPTIONS[name].fallback): z.ZodMiniType {
  const { schema, rule } = OPTIONS[name];
  return described(
    `${capital(rule)}. ${fallback === "required" ? "Required" : `Default: ${fallback}`}.`,
    schema,
  );
}

function maybeOption(name: OptionName): z.ZodMiniType {
  return z.optional(option(name));
}

function groupOption(name: Exclude<keyof typeof GROUP_OPTIONS, "resources">): z.ZodMiniType {
  const { schema, rule, fallback } = GROUP_OPTIONS[name];
  return z.optional(described(`${capital(rule)}. Default: ${fallback}.`, schema));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const NON_EMPTY = z.string().check(z.minLength(1));

const SERVERS = "nats://host:port, tls://host:port or host:port; all of one NATS cluster.";
const MONITORS = "Monitoring ports of the servers, such as http://n1:8222, for nats-leader doctor.";

const natsFields = {
  servers: described(SERVERS, z.array(NON_EMPTY).check(z.minLength(1))),
  monitors: maybe(MONITORS, z.array(z.string().check(z.refine((text) => monitorUrl(text) !== null)))),
  credentials: maybe("Path of a .creds file. Read again at every reconnect.", z.string()),
  reconnectWaitMs: orZero(option("reconnectWaitMs")),
  maxReconnects: maybe("go-cluster's; a node of this library reconnects without limit.", z.int()),
  user: maybe("User name; its password is in passwordFile or NATS_LEADER_PASSWORD.", NON_EMPTY),
  passwordFile: maybe("Path of a file with the password of user.", NON_EMPTY),
  tokenFile: maybe("Path of a file with a token.", NON_EMPTY),
  nkeyFile: maybe("Path of a file with the seed of a user nkey (SU...).", NON_EMPTY),
  tls: maybe(
    "Paths of PEM files: ca, cert and key; handshakeFirst if the server wants TLS first.",
    OPTIONS.tls.schema,
  ),
  inboxPrefix: maybeOption("inboxPrefix"),
  connectTimeoutMs: maybeOption("connectTimeoutMs"),
  domain: maybeOption("domain"),
};

/** How a file may write them, too: `respell()`. */
const TEXT_OR_LIST = z.union([z.string(), z.array(z.string())]);
const SERVER_SPELLINGS = {
  cluster_urls: maybe("Another name of nats.servers.", TEXT_OR_LIST),
  url: maybe("Another name of nats.servers: one text, with commas between several.", TEXT_OR_LIST),
};
const PORT = z.optional(z.int().check(z.minimum(1), z.maximum(65_535)));
const NODES = maybe(
  "Another name of nats.monitors: URLs, or objects with host and monitoringPort (default 8222).",
  z.array(
    z.union([
      z.string(),
      z.looseObject({
        host: z.string(),
        monitoringPort: PORT,
        monitoring_port: PORT,
        monitor_port: PORT,
        http_port: PORT,
      }),
    ]),
  ),
);

const vip = z.strictObject({
  address: maybe(
    "Address that only the leader's host has, IPv4 or IPv6. Linux. Empty: no virtual IP.",
    z.string().check(z.refine((text) => text === "" || isIP(text) !== 0)),
  ),
  netmask: maybe(
    "Length of the prefix. Default: 24, for IPv6 64.",
    z.int().check(z.minimum(0), z.maximum(128)),
  ),
  interface: maybe(
    "Network interface that gets the address, such as eth0.",
    z.string().check(z.refine((text) => text === "" || INTERFACE_NAME.test(text))),
  ),
});

const election = z.strictObject({
  leaseTtlMs: orZero(option("leaseTtlMs")),
  heartbeatIntervalMs: orZero(option("heartbeatIntervalMs")),
  requestTimeoutMs: maybeOption("requestTimeoutMs"),
  retryDelayMs: maybeOption("retryDelayMs"),
  successorGraceMs: maybeOption("successorGraceMs"),
  cooldownMs: maybeOption("cooldownMs"),
  drainTimeoutMs: maybeOption("drainTimeoutMs"),
  crashDetection: maybeOption("crashDetection"),
  silenceMs: maybeOption("silenceMs"),
  observer: maybeOption("observer"),
  interop: maybeOption("interop"),
  replicas: maybeOption("replicas"),
});

const service = z.strictObject({
  enabled: maybe(
    "Answer status, ping and step-down requests. Without it tools do not see the node. Default: true.",
    z.boolean(),
  ),
  version: orEmpty(option("serviceVersion")),
});

const http = z.strictObject({
  listen: maybe(
    "Address and port: 127.0.0.1:9465, [::1]:9465, 0.0.0.0:9465; a port alone is on 127.0.0.1. Default: off.",
    z.string().check(z.refine((text) => text === HTTP_OFF || parseListenAddress(text) !== null)),
  ),
  tokenFile: maybe("Path of a file with the token that requests need, but for health.", NON_EMPTY),
  hosts: maybe(
    "Names by which browsers may reach status, metrics and page, besides addresses, localhost and names without a dot. With a token, default: every name.",
    z.array(z.string().check(z.refine(isHostName))),
  ),
});

const group = z.strictObject({
  id: z.optional(described(`${capital(GROUP_OPTIONS.groupId.rule)}.`, GROUP_OPTIONS.groupId.schema)),
  resources: maybe(
    "A number of partitions from 1 to 100000, a list of names, or of objects with name and zone.",
    z.union([
      z.int().check(z.minimum(1), z.maximum(100_000)),
      z.array(z.union([z.string(), z.strictObject({ name: z.string(), zone: z.optional(z.string()) })])),
    ]),
  ),
  weight: groupOption("weight"),
  zone: groupOption("zone"),
  maxOwned: groupOption("maxOwned"),
  settleMs: groupOption("settleMs"),
  rejoinGraceMs: groupOption("rejoinGraceMs"),
  unownedGraceMs: groupOption("unownedGraceMs"),
  maxMoves: groupOption("maxMoves"),
  createBucket: groupOption("createBucket"),
});

const history = z.strictObject({
  enabled: maybe("Record past terms in a small stream beside the bucket. Default: true.", z.boolean()),
  maxTerms: maybe("Number of terms kept. Default: 1000.", z.int().check(z.minimum(1), z.maximum(MAX_TERMS))),
});

const sections = {
  vip: maybe("Virtual IP of the leader.", vip),
  election: maybe("Timing and rules of the election.", election),
  service: maybe("The NATS micro service of every node.", service),
  history: maybe("Record of past terms.", history),
  http: maybe("Health, leadership, status and metrics over HTTP.", http),
  group: maybe("A group of which the host is a member: nats-leader run.", group),
};

/** Of the settings that are in force, whatever source and spelling they have. */
export const FILE_SCHEMA: z.ZodMiniType = z.strictObject({
  $schema: z.optional(z.string()),
  clusterId: option("clusterId"),
  nodeId: option("nodeId", "required"),
  nats: described("How to reach NATS.", z.strictObject(natsFields)),
  ...sections,
});

const WRITTEN_CLUSTER_ID = maybe(
  `${capital(OPTIONS.clusterId.rule)}. Required, but for \`run --group\`: a file with group.id need not have it.`,
  OPTIONS.clusterId.schema,
);

/** Of the file as it is written. Flags and variables may have what it lacks, so that nothing is required. */
const WRITTEN_SCHEMA = z
  .strictObject({
    $schema: z.optional(z.string()),
    clusterId: WRITTEN_CLUSTER_ID,
    nodeId: maybeOption("nodeId"),
    nats: maybe(
      "How to reach NATS.",
      z.strictObject({
        ...natsFields,
        servers: maybe(
          `${SERVERS} A list, or one text with commas.`,
          z.union([NON_EMPTY, natsFields.servers]),
        ),
        ...SERVER_SPELLINGS,
        nodes: NODES,
      }),
    ),
    ...SERVER_SPELLINGS,
    nodes: NODES,
    ...sections,
  })
  .check(
    z.meta({
      title: "nats-leader configuration",
      description: "go-cluster's config.json with more settings.",
    }),
  );

/** The JSON Schema of the file: the content of `schema/config.schema.json`. */
export function jsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(WRITTEN_SCHEMA, { target: "draft-7", io: "input" });
  return { $schema, $id: `urn:nats-leader:config:${PACKAGE_VERSION}`, ...rest };
}
