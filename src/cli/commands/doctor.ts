import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { monitorUrl } from "../../config/file/monitors.ts";
import { type NodeOptions, resolveOptions } from "../../config/resolve.ts";
import { Doctor, type DoctorOptions, type Examination } from "../../doctor/doctor.ts";
import type { Facts } from "../../doctor/facts.ts";
import type { AccountOptions } from "../../doctor/sources/account-source.ts";
import { follow, NO_TRENDS } from "../../doctor/trends/trends.ts";
import { ClusterError, messageOf } from "../../errors.ts";
import type { NatsOptions } from "../../nats/connection/connection.ts";
import { type GroupPermissionRole, PERMISSION_ROLES, type PermissionRole } from "../../nats/permissions.ts";
import { exportServers, listenAddress, type PrometheusFlags } from "../doctor/prometheus.ts";
import { EXIT } from "../exit.ts";
import {
  type ClusterFlags,
  configOf,
  DEFAULT_TIMEOUT_MS,
  groupIdOf,
  monitors,
  positiveDuration,
  wholeNumber,
  withConnectLimit,
  withQueryOptions,
} from "../options.ts";
import {
  columnsOfOutput,
  isTerminal,
  print,
  printJson,
  printJsonLine,
  printLines,
  Screen,
} from "../output.ts";
import { examinationJson, reportLines, reportScreen } from "../render/doctor-report.ts";
import { showTime } from "../render/duration.ts";
import { unlessAborted, untilSignal } from "../signals.ts";

const DEFAULT_INTERVAL_MS = 5_000;

interface Flags extends ClusterFlags, PrometheusFlags {
  readonly monitor?: readonly string[];
  readonly systemCreds?: string;
  readonly systemUser?: string;
  readonly systemPasswordFile?: string;
  readonly clusterSize?: number;
  readonly expectNodes?: number;
  readonly role?: AnyRole;
  readonly group?: readonly string[];
  readonly bucket?: readonly string[];
  readonly readOnly?: boolean;
  readonly permissions?: string;
  readonly watch?: boolean;
  readonly interval?: number;
  readonly prometheus?: boolean;
}

type AnyRole = PermissionRole | GroupPermissionRole;

/** For a group, the role `node` means `member`, and the reverse for a cluster. */
const ANY_ROLES: readonly AnyRole[] = [...PERMISSION_ROLES, "member"];

export function doctor(command: Command): Command {
  return withQueryOptions(command)
    .option("--monitor <urls...>", "monitoring ports, such as http://n1:8222", monitors)
    .option("--system-creds <file>", "credentials file of the system account")
    .option("--system-user <user>", "user of the system account")
    .option("--system-password-file <file>", "file with the password of the system user")
    .option("--cluster-size <n>", "servers in each NATS cluster (default: as found)", wholeNumber(1, 1_000))
    .option("--expect-nodes <n>", "nodes that should compete (default: any number)", wholeNumber(1, 1_000))
    .addOption(new Option("--role <role>", "role whose permissions this user should have").choices(ANY_ROLES))
    .option("--group <id>", "examine this group, too; may be given more than once", groups)
    .option("--bucket <name>", "examine this bucket of an application; may be given more than once", buckets)
    .option("--read-only", "with --bucket: the application only reads")
    .option("--permissions <user>", "log in as this user, and try what it may do")
    .option("--watch", "repeat until Ctrl-C")
    .option("--interval <time>", "pause between examinations (default: 5s)", positiveDuration)
    .addOption(
      new Option("--prometheus", "print only facts about servers, as metrics of Prometheus").conflicts([
        "json",
        "watch",
      ]),
    )
    .option("--listen <address>", "with --prometheus: serve them at HOST:PORT/metrics", listenAddress)
    .option("--stream <name>", "with --prometheus: one more stream; * stands for any text", streams)
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Changes nothing and does not join the election. Reads the servers' monitoring
ports, or queries the servers through the system account; without either, it
lists what it could not see. The configuration may name the monitoring ports
(nats.monitors, or nodes), so that --monitor is not needed. Without a cluster
id and a group it examines only the servers.
The system password may also be in NATS_LEADER_SYSTEM_PASSWORD.

Exits 0 without findings, 5 with warnings, 6 with critical findings, and 4 if
nothing was reachable. With --watch the last examination decides; it also counts
rates, restarts and leader changes, and some findings are notes until they have
lasted a minute.

Example:
  nats-leader doctor --config a.json
  nats-leader doctor --config a.json --monitor http://n1:8222 http://n2:8222
  nats-leader doctor --cluster-id billing --system-creds sys.creds --watch
  nats-leader doctor --group orders
  NATS_LEADER_PASSWORD=... nats-leader doctor --bucket prices --permissions shop
  nats-leader doctor --monitor http://n1:8222 --prometheus --listen 9466`;

function groups(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, groupIdOf(text)];
}

function buckets(text: string, before: readonly string[] = []): readonly string[] {
  if (/^[\w-]+$/.test(text)) return [...before, text];
  throw new InvalidArgumentError("The name of a bucket has the characters A-Z a-z 0-9 _ -.");
}

function streams(text: string, before: readonly string[] = []): readonly string[] {
  if (text !== "") return [...before, text];
  throw new InvalidArgumentError("Must be the name of a stream, such as ORDERS or ORDERS_*.");
}

async function run(flags: Flags): Promise<void> {
  if (flags.prometheus === true) return exportServers(doctorOptions(flags), flags);
  for (const name of ["listen", "stream"] as const) {
    if (flags[name] !== undefined) {
      throw new ClusterError("INVALID_CONFIG", `--${name} is for --prometheus, which is missing`);
    }
  }
  if (flags.interval !== undefined && flags.watch !== true) {
    throw new ClusterError("INVALID_CONFIG", "--interval is for --watch, which is missing");
  }
  if (flags.readOnly === true && flags.bucket === undefined) {
    throw new ClusterError("INVALID_CONFIG", "--read-only is for --bucket, which is missing");
  }
  const options = doctorOptions(flags);
  if (flags.permissions !== undefined && !triesPermissions(options)) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "--permissions has nothing to try: add --bucket for an application, --cluster-id for a node, or --group for a member",
    );
  }
  const examiner = new Doctor(options);
  try {
    const last = flags.watch === true ? await watched(examiner, flags) : await once(examiner, flags);
    if (last !== null) process.exitCode = exitCodeFor(last);
  } finally {
    await examiner.close();
  }
}

/** Whether there is anything whose permissions can be tried: an application's buckets, a cluster, or a group. */
function triesPermissions({ account }: DoctorOptions): boolean {
  return (
    account !== null &&
    (account.application !== undefined || account.hasCluster || account.groupIds.length > 0)
  );
}

async function once(examiner: Doctor, flags: Flags): Promise<Examination> {
  const found = await examiner.examine();
  if (flags.json === true) printJson(examinationJson(found, exitCodeFor(found), Date.now()));
  else printLines(reportLines(found, exitCodeFor(found), columnsOfOutput()));
  return found;
}

/** Resolves at the first signal, to the last examination. */
async function watched(examiner: Doctor, flags: Flags): Promise<Examination | null> {
  const ending = untilSignal();
  const { signal } = ending;
  const view = viewFor(flags);
  let last: Examination | null = null;
  let trends = NO_TRENDS;
  try {
    while (!signal.aborted) {
      const found = await unlessAborted(signal, examiner.examine());
      if (found === null) break;
      const { facts } = found;
      const followed = follow(trends, facts, found.findings, performance.now());
      trends = followed.trends;
      const { findings, verdict, rates } = followed;
      last = { facts, findings, verdict, rates };
      view.show(last);
      await pause(flags.interval ?? DEFAULT_INTERVAL_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    view.close();
    ending.close();
  }
  return last;
}

interface View {
  show(found: Examination): void;
  close(): void;
}

/** JSON lines; on a terminal the whole report, redrawn; otherwise a line when a finding starts or ends. */
function viewFor(flags: Flags): View {
  if (flags.json === true) {
    const show = (found: Examination): void =>
      printJsonLine(examinationJson(found, exitCodeFor(found), Date.now()));
    return { show, close: () => {} };
  }
  return isTerminal() ? liveView() : { show: changesView(), close: () => {} };
}

function liveView(): View {
  let last: Examination | null = null;
  const screen = new Screen((size) =>
    last === null ? [] : reportScreen(last, exitCodeFor(last), size, Date.now()),
  );
  return {
    show: (found) => {
      last = found;
      screen.draw();
    },
    close: () => screen.close(),
  };
}

/** Findings are compared without their text, since the figures in it change. */
function changesView(): View["show"] {
  let before: ReadonlyMap<string, string> | null = null;
  return ({ findings, verdict }) => {
    const now = new Map(
      findings.map(({ severity, code, where, what, todo }) => [
        `${severity.toUpperCase()}  ${where} [${code}]`,
        `${what}; ${todo}`,
      ]),
    );
    const at = showTime(Date.now());
    for (const [head, text] of now) if (before?.has(head) !== true) print(`${at}  ${head}: ${text}`);
    for (const head of before?.keys() ?? []) if (!now.has(head)) print(`${at}  over: ${head}`);
    if (before === null && now.size === 0) print(`${at}  ${verdict}`);
    before = now;
  };
}

function exitCodeFor({ facts, verdict }: Examination): number {
  if (reachedNothing(facts)) return EXIT.unreachable;
  if (verdict === "ok") return EXIT.ok;
  return verdict === "warning" ? EXIT.warning : EXIT.critical;
}

function reachedNothing({ servers, connection, system }: Facts): boolean {
  const connected = [connection, system].some((one) => one !== null && one.problem === null);
  return !connected && servers.every(({ error }) => error !== null);
}

function doctorOptions(flags: Flags): DoctorOptions {
  const settings = [
    ["nats.monitors", "--monitor", flags.monitor],
    ["nats.user", "--permissions", flags.permissions],
  ] as const;
  // A login whose file is missing is a finding: the monitoring ports may answer.
  const loaded = configOf(flags, false, { forCluster: false, requireFiles: "none", settings });
  const { nodeOptions, origins, nodeId } = loaded;
  const timeoutMs = flags.timeout ?? DEFAULT_TIMEOUT_MS;
  const resolved = resolveOptions(withConnectLimit(nodeOptions, timeoutMs));
  const ports = (loaded.config.nats.monitors ?? []).map(monitorUrl).filter((url) => url !== null);
  const system = systemLogin(flags, resolved.nats);
  const hasCluster = origins.has("clusterId");
  const groupIds = flags.group ?? (loaded.config.group?.id === undefined ? [] : [loaded.config.group.id]);
  // With monitoring ports or a system login alone, nothing is queried through another account.
  const named = ports.length === 0 || origins.has("nats.servers");
  const usesAccount =
    hasCluster ||
    groupIds.length > 0 ||
    flags.bucket !== undefined ||
    flags.permissions !== undefined ||
    (system === null && named);
  const given = flags.role === "member" ? "node" : flags.role;
  const role = given ?? (nodeId === null ? null : resolved.observer ? "observer" : "node");
  const groupRole: GroupPermissionRole | null = flags.role === "node" ? "member" : (flags.role ?? null);
  const account = {
    nodeOptions: withConnectLimit(nodeOptions, timeoutMs),
    hasCluster,
    nodeId,
    role,
    groupIds: [...new Set(groupIds)],
    groupRole,
    ...(flags.bucket === undefined ? {} : { application: applicationOf(flags, nodeOptions) }),
    timeoutMs,
  };
  return {
    clusterId: hasCluster ? resolved.clusterId : null,
    expectedServers: flags.clusterSize ?? null,
    expectedNodes: flags.expectNodes ?? null,
    leaseTtlMs: resolved.leaseTtlMs,
    timeoutMs,
    monitors: ports,
    tls: resolved.nats.tls ?? {},
    system,
    account: usesAccount ? account : null,
  };
}

function applicationOf(
  { bucket = [], readOnly = false }: Flags,
  { user }: NodeOptions,
): NonNullable<AccountOptions["application"]> {
  return { buckets: [...new Set(bucket)], readOnly, user: user ?? null };
}

/** The servers and TLS settings of the configuration, with the login of the system account. */
function systemLogin(flags: Flags, nats: NatsOptions): NatsOptions | null {
  const { env } = process;
  const { servers, tls, connectTimeoutMs } = nats;
  const endpoint = {
    ...(servers === undefined ? {} : { servers }),
    ...(tls === undefined ? {} : { tls }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
  };
  const user = flags.systemUser ?? (env["NATS_LEADER_SYSTEM_USER"] || undefined);
  const credsFile =
    flags.systemCreds ?? (user === undefined ? env["NATS_LEADER_SYSTEM_CREDS"] || undefined : undefined);
  if (credsFile !== undefined && user !== undefined) {
    throw new ClusterError("INVALID_CONFIG", "pass either --system-creds or --system-user, not both");
  }
  if (credsFile !== undefined && flags.systemPasswordFile === undefined) return { ...endpoint, credsFile };
  if (user === undefined) {
    if (flags.systemPasswordFile === undefined) return null;
    throw new ClusterError("INVALID_CONFIG", "--system-password-file is for --system-user, which is missing");
  }
  const pass = env["NATS_LEADER_SYSTEM_PASSWORD"] ?? passwordIn(flags.systemPasswordFile);
  return { ...endpoint, user, pass };
}

function passwordIn(path: string | undefined): string {
  if (path === undefined) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "--system-user requires a password: pass --system-password-file or set NATS_LEADER_SYSTEM_PASSWORD",
    );
  }
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `--system-password-file "${path}" cannot be read: ${messageOf(error)}`,
    );
  }
}
