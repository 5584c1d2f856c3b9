import { Argument, type Command, Option } from "commander";
import {
  GROUP_PERMISSION_ROLES,
  type Grant,
  type GroupPermissionOptions,
  type GroupPermissionRole,
  grantsFor,
  groupGrantsFor,
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
  readonly group?: string;
  readonly nodeId?: string;
  readonly bucketCreator: boolean;
  readonly history?: boolean;
  readonly watchConsumer?: boolean;
  readonly inboxPrefix?: string;
  readonly domain?: string;
  readonly json?: boolean;
}

type AnyRole = PermissionRole | GroupPermissionRole;

const ROLES: readonly AnyRole[] = [...new Set<AnyRole>([...PERMISSION_ROLES, ...GROUP_PERMISSION_ROLES])];

export function permissions(command: Command): Command {
  return command
    .addArgument(new Argument("<role>", "role of the user").choices(ROLES))
    .option("--cluster-id <id>", "cluster id (required without --group)")
    .addOption(new Option("--cluster <id>").hideHelp())
    .option("--group <id>", "group id: print the set of a role of this group")
    .option("--node-id <id>", "restrict the user to this node id")
    .option("--bucket-creator", "node, member: may create the bucket, with any configuration", false)
    .addOption(new Option("--no-bucket-creator").hideHelp())
    .option("--history", "node: may record past terms, as the daemon does")
    .option("--watch-consumer", "node: may watch a bucket without republish")
    .option(
      "--inbox-prefix <prefix>",
      "inbox prefix of the user (default: _INBOX_<role>, of a group _INBOX_group_<role>)",
    )
    .option("--domain <name>", "JetStream domain of the bucket (default: that of the user's server)")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Prints the contents of a user's "permissions" block in nats-server.conf. Does
not connect to NATS. The client must use the inbox prefix in the output.

Roles of a cluster: node, observer, operator, administrator. Roles of a group:
member, observer, operator, administrator.

Examples:
  nats-leader permissions node --cluster-id billing > node.conf
  nats-leader permissions node --cluster-id billing --node-id a --history
  nats-leader permissions administrator --cluster-id billing
  nats-leader permissions operator --cluster-id billing --json
  nats-leader permissions member --group orders`;

function run(role: AnyRole, flags: Flags): void {
  const clusterId = flags.clusterId ?? flags.cluster;
  const { group: groupId } = flags;
  if (groupId === undefined) {
    if (clusterId === undefined) {
      const message = "--cluster-id is missing: pass the cluster id, or the id of a group with --group";
      throw new CliError(EXIT.usage, "INVALID_CONFIG", message);
    }
    return show(clusterUser(role, clusterId, flags), flags);
  }
  if (clusterId !== undefined) {
    const message = "--cluster-id and --group exclude each other: a user of both needs both sets";
    throw new CliError(EXIT.usage, "INVALID_USAGE", message);
  }
  show(groupUser(role, groupId, flags), flags);
}

function show(options: PermissionOptions | GroupPermissionOptions, { json }: Flags): void {
  if (json === true) printJson(permissionsFor(options));
  else printText(permissionsText(options));
}

function clusterUser(role: AnyRole, clusterId: string, flags: Flags): PermissionOptions {
  if (!isOneOf(PERMISSION_ROLES, role)) throw noSuchRole(role, "a cluster", PERMISSION_ROLES);
  requireRole(role, "node", {
    "--bucket-creator": flags.bucketCreator,
    "--history": flags.history === true,
    "--watch-consumer": flags.watchConsumer === true,
  });
  const { nodeId } = flags;
  return {
    clusterId,
    role,
    createBucket: flags.bucketCreator,
    history: flags.history === true,
    watchConsumer: flags.watchConsumer === true,
    ...(nodeId === undefined ? {} : { nodeId }),
    ...placeOf(flags),
  };
}

function groupUser(role: AnyRole, groupId: string, flags: Flags): GroupPermissionOptions {
  if (!isOneOf(GROUP_PERMISSION_ROLES, role)) throw noSuchRole(role, "a group", GROUP_PERMISSION_ROLES);
  const ofClusters = [
    ...(flags.nodeId === undefined ? [] : ["--node-id"]),
    ...(flags.history === true ? ["--history"] : []),
    ...(flags.watchConsumer === true ? ["--watch-consumer"] : []),
  ];
  if (ofClusters.length > 0) {
    const message = `${ofClusters.join(", ")} has no effect with --group: it concerns the nodes of a cluster`;
    throw new CliError(EXIT.usage, "INVALID_USAGE", message);
  }
  requireRole(role, "member", { "--bucket-creator": flags.bucketCreator });
  return { groupId, role, createBucket: flags.bucketCreator, ...placeOf(flags) };
}

function placeOf({ inboxPrefix, domain }: Flags): Pick<PermissionOptions, "inboxPrefix" | "domain"> {
  return {
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    ...(domain === undefined ? {} : { domain }),
  };
}

function isOneOf<Role extends AnyRole>(roles: readonly Role[], role: AnyRole): role is Role {
  return (roles as readonly AnyRole[]).includes(role);
}

function noSuchRole(role: AnyRole, of: string, roles: readonly AnyRole[]): CliError {
  const message = `${of} has no role "${role}": it has ${roles.join(", ")}`;
  return new CliError(EXIT.usage, "INVALID_USAGE", message);
}

/** The other roles have fixed sets. */
function requireRole(role: AnyRole, needed: AnyRole, flags: Readonly<Record<string, boolean>>): void {
  if (role === needed) return;
  const given = Object.keys(flags).filter((name) => flags[name] === true);
  if (given.length === 0) return;
  const message = `${given.join(", ")} has no effect for role "${role}": it adds permissions to role "${needed}" only`;
  throw new CliError(EXIT.usage, "INVALID_USAGE", message);
}

/** The lines of a `permissions` block in a nats-server configuration. */
export function permissionsText(options: PermissionOptions | GroupPermissionOptions): string {
  const isOfGroup = "groupId" in options;
  const { publish, subscribe, inboxPrefix } = isOfGroup ? groupGrantsFor(options) : grantsFor(options);
  return [
    `# ${isOfGroup ? groupTitle(options) : clusterTitle(options)}.`,
    `# The client connects with inboxPrefix "${inboxPrefix}".`,
    ...block("publish", publish),
    ...block("subscribe", subscribe),
  ].join("\n");
}

function clusterTitle({ clusterId, nodeId, role = "node" }: PermissionOptions): string {
  const who = nodeId === undefined ? "" : `, for node "${nodeId}" only`;
  return `Role "${role}" of cluster "${clusterId}"${who}`;
}

function groupTitle({ groupId, role = "member" }: GroupPermissionOptions): string {
  return `Role "${role}" of group "${groupId}"`;
}

function block(direction: "publish" | "subscribe", grants: readonly Grant[]): string[] {
  const width = Math.max(...grants.map(({ subject }) => subject.length));
  const lines = grants.map(
    ({ subject, purpose }) => `    "${subject}"${" ".repeat(width - subject.length)}  # ${purpose}`,
  );
  return [`${direction} {`, "  allow: [", ...lines, "  ]", "}"];
}
