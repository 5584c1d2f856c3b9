import { Argument, type Command, Option } from "commander";
import {
  type Grant,
  type Grants,
  grantsFor,
  PERMISSION_ROLES,
  type PermissionOptions,
  type PermissionRole,
  permissionsFor,
} from "../../nats/permissions.ts";
import { CliError, EXIT } from "../exit.ts";
import { printJson, printText } from "../output.ts";

interface Flags {
  readonly clusterId?: string;
  /** Hidden alias of `--cluster-id`. */
  readonly cluster?: string;
  readonly nodeId?: string;
  readonly bucketCreator: boolean;
  readonly history?: boolean;
  readonly watchConsumer?: boolean;
  readonly inboxPrefix?: string;
  readonly domain?: string;
  readonly json?: boolean;
}

export function permissions(command: Command): Command {
  return command
    .addArgument(new Argument("<role>", "role of the user").choices(PERMISSION_ROLES))
    .option("--cluster-id <id>", "cluster id (required)")
    .addOption(new Option("--cluster <id>").hideHelp())
    .option("--node-id <id>", "restrict the user to this node id")
    .option("--bucket-creator", "node: may create the bucket, with any configuration", false)
    .addOption(new Option("--no-bucket-creator").hideHelp())
    .option("--history", "node: may record past terms, as the daemon does")
    .option("--watch-consumer", "node: may watch a bucket without republish")
    .option("--inbox-prefix <prefix>", "inbox prefix of the user (default: _INBOX_<role>)")
    .option("--domain <name>", "JetStream domain of the bucket (default: that of the user's server)")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Prints the contents of a user's "permissions" block in nats-server.conf. Does
not connect to NATS. The client must use the inbox prefix in the output.

Examples:
  nats-leader permissions node --cluster-id billing > node.conf
  nats-leader permissions node --cluster-id billing --node-id a --history
  nats-leader permissions administrator --cluster-id billing
  nats-leader permissions operator --cluster-id billing --json`;

function run(role: PermissionRole, flags: Flags): void {
  const { nodeId, inboxPrefix, bucketCreator, domain } = flags;
  const clusterId = flags.clusterId ?? flags.cluster;
  if (clusterId === undefined) {
    throw new CliError(EXIT.usage, "INVALID_CONFIG", "--cluster-id is missing: pass the cluster id");
  }
  requireNode(role, flags);
  const options: PermissionOptions = {
    clusterId,
    role,
    createBucket: bucketCreator,
    history: flags.history === true,
    watchConsumer: flags.watchConsumer === true,
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    ...(domain === undefined ? {} : { domain }),
  };
  if (flags.json === true) printJson(permissionsFor(options));
  else printText(permissionsText(options));
}

/** The other roles have fixed sets. */
function requireNode(role: PermissionRole, { history, bucketCreator, watchConsumer }: Flags): void {
  if (role === "node") return;
  const given = [
    ...(bucketCreator ? ["--bucket-creator"] : []),
    ...(history === true ? ["--history"] : []),
    ...(watchConsumer === true ? ["--watch-consumer"] : []),
  ];
  if (given.length === 0) return;
  const message = `${given.join(", ")} has no effect for role "${role}": it adds permissions to role "node" only`;
  throw new CliError(EXIT.usage, "INVALID_USAGE", message);
}

/** The lines of a `permissions` block in a nats-server configuration. */
export function permissionsText(options: PermissionOptions): string {
  const grants = grantsFor(options);
  return [
    ...about(options, grants),
    ...block("publish", grants.publish),
    ...block("subscribe", grants.subscribe),
  ].join("\n");
}

function about({ clusterId, nodeId, role = "node" }: PermissionOptions, grants: Grants): string[] {
  const who = nodeId === undefined ? "" : `, for node "${nodeId}" only`;
  return [
    `# Role "${role}" of cluster "${clusterId}"${who}.`,
    `# The client connects with inboxPrefix "${grants.inboxPrefix}".`,
  ];
}

function block(direction: "publish" | "subscribe", grants: readonly Grant[]): string[] {
  const width = Math.max(...grants.map(({ subject }) => subject.length));
  const lines = grants.map(
    ({ subject, purpose }) => `    "${subject}"${" ".repeat(width - subject.length)}  # ${purpose}`,
  );
  return [`${direction} {`, "  allow: [", ...lines, "  ]", "}"];
}
