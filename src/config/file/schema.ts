/** What may stand in the file. `schema/config.schema.json` is generated from this, so every field says what it is. */
import { isIP } from "node:net";
import { z } from "zod";
import { OPTIONS, type OptionName } from "../accepted.ts";
import { PACKAGE_VERSION } from "../resolve.ts";

/** Where an editor finds the schema beside an installed package; `nats-leader config schema` prints it for any other place. */
export const SCHEMA_URL: string = "./node_modules/nats-leader/schema/config.schema.json";

const MAX_TERMS = 100_000;

/** go-cluster leaves a field at its zero value where it means "not given". */
function orZero(schema: z.ZodType): z.ZodType {
  return z.union([z.literal(0), schema]);
}

function orEmpty(schema: z.ZodType): z.ZodType {
  return z.union([z.literal(""), schema]);
}

/** The same rule as the option of the node has. */
function as(name: OptionName, text?: string): z.ZodType {
  const { schema, rule, fallback } = OPTIONS[name];
  return schema.meta({
    description:
      text ?? `${capital(rule)}. ${fallback === "required" ? "Required" : `Default: ${fallback}`}.`,
  });
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function path(description: string): z.ZodType {
  return z.string().min(1).meta({ description });
}

const nats = z.strictObject({
  servers: z
    .array(z.string().min(1))
    .min(1)
    .meta({ description: "nats://host:port, tls://host:port or host:port; all of one NATS cluster." }),
  credentials: z
    .string()
    .meta({ description: "Path of a .creds file. Read again at every reconnect." })
    .optional(),
  reconnectWaitMs: orZero(as("reconnectWaitMs")).optional(),
  maxReconnects: z
    .int()
    .meta({ description: "go-cluster's; a node of this library never gives up to reconnect." })
    .optional(),
  user: z
    .string()
    .min(1)
    .meta({ description: "User name; its password is in passwordFile or NATS_LEADER_PASSWORD." })
    .optional(),
  passwordFile: path("Path of a file with the password of user.").optional(),
  tokenFile: path("Path of a file with a token.").optional(),
  nkeyFile: path("Path of a file with the seed of a user nkey (SU...).").optional(),
  tls: as(
    "tls",
    "Paths of PEM files: ca, cert and key; handshakeFirst if the server wants TLS first.",
  ).optional(),
  inboxPrefix: as("inboxPrefix").optional(),
  connectTimeoutMs: as("connectTimeoutMs").optional(),
});

const vip = z.strictObject({
  address: z
    .string()
    .refine((text) => text === "" || isIP(text) !== 0)
    .meta({
      description: "Address that only the leader's host has, IPv4 or IPv6. Linux. Empty: no virtual IP.",
    })
    .optional(),
  netmask: z
    .int()
    .min(0)
    .max(128)
    .meta({ description: "Length of the prefix. Default: 24, for IPv6 64." })
    .optional(),
  interface: z
    .string()
    .meta({ description: "Network interface that gets the address, such as eth0." })
    .optional(),
});

const election = z.strictObject({
  leaseTtlMs: orZero(as("leaseTtlMs")).optional(),
  heartbeatIntervalMs: orZero(as("heartbeatIntervalMs")).optional(),
  requestTimeoutMs: as("requestTimeoutMs").optional(),
  retryDelayMs: as("retryDelayMs").optional(),
  successorGraceMs: as("successorGraceMs").optional(),
  cooldownMs: as("cooldownMs").optional(),
  drainTimeoutMs: as("drainTimeoutMs").optional(),
  crashDetection: as("crashDetection").optional(),
  observer: as("observer").optional(),
  interop: as("interop").optional(),
  replicas: as("replicas").optional(),
});

const service = z.strictObject({ version: orEmpty(as("serviceVersion")).optional() });

const history = z.strictObject({
  enabled: z
    .boolean()
    .meta({ description: "Record past terms in a small stream beside the bucket. Default: true." })
    .optional(),
  maxTerms: z.int().min(1).max(MAX_TERMS).meta({ description: "Terms kept. Default: 1000." }).optional(),
});

export const FILE_SCHEMA: z.ZodType = z
  .strictObject({
    $schema: z.string().optional(),
    clusterId: as("clusterId"),
    nodeId: as("nodeId"),
    nats: nats.meta({ description: "How to reach NATS." }),
    vip: vip.meta({ description: "Virtual IP of the leader." }).optional(),
    election: election.meta({ description: "Timing and rules of the election." }).optional(),
    service: service.meta({ description: "The NATS micro service that every node is." }).optional(),
    history: history.meta({ description: "Record of past terms." }).optional(),
  })
  .meta({ title: "nats-leader configuration", description: "go-cluster's config.json, and more." });

/** The JSON Schema of the file, as `schema/config.schema.json` has it. */
export function jsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(FILE_SCHEMA, { target: "draft-7", io: "input" });
  return { $schema, $id: `urn:nats-leader:config:${PACKAGE_VERSION}`, ...rest };
}

/** The same as the file's text: short lists on one line, as the repository's formatter has it. */
export function schemaText(): string {
  const text = JSON.stringify(jsonSchema(), null, 2);
  return `${text.replace(/\[\n\s+([^[\]{}]*?)\n\s+\]/g, (_, items: string) => `[${items.replace(/,\n\s+/g, ", ")}]`)}\n`;
}
