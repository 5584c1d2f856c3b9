/** The plan of a call: its options, completed by the deployment of the state folder, which is kept while it is stopped. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "./errors.ts";
import { DEFAULT_PORT_BASE, type Plan, planServers, type Size } from "./plan.ts";
import type { Deployment, StateDir, UpOptions } from "./state.ts";

/** What the command line gave; undefined where it gave nothing. */
export type Asked = {
  readonly [Name in "backend" | "topology" | "secure" | "portBase"]: UpOptions[Name] | undefined;
} & { readonly size?: Size | undefined; readonly jwt?: true | undefined };

/** Account of a server without accounts. */
const PLAIN_ACCOUNT = "$G";

/**
 * Options that are not given are those of the deployment in this folder. Rejects if one of them would start servers that do
 * not see the streams in the folder: another topology, another backend, or with other accounts.
 */
export async function completePlan(state: StateDir, asked: Asked): Promise<UpOptions> {
  const before = await state.read();
  if (before !== undefined) {
    const plan = { ...settingsOf(before), ...definedOf(asked) };
    refuseImpossible(plan);
    refuseChange(before, plan, state);
    return plan;
  }
  const defaults = {
    backend: "process",
    topology: "cluster",
    secure: false,
    portBase: DEFAULT_PORT_BASE,
  } as const;
  const plan = { ...defaults, ...definedOf(asked) };
  refuseImpossible(plan);
  await refuseForeignStreams(state, plan);
  return plan;
}

/** Rejects a plan that no configuration file describes. */
function refuseImpossible({ jwt, secure, topology, backend }: UpOptions): void {
  if (jwt && !(secure && topology === "cluster" && backend === "process"))
    throw new DeployError("--jwt is for --secure, with a cluster of processes");
}

/** Rejects if `wanted` is a deployment of another kind: its servers would not see the streams of the one before. */
export function refuseChange(before: Deployment, wanted: UpOptions, state: StateDir): void {
  const differing = (["backend", "topology", "secure"] as const).filter(
    (name) => before[name] !== wanted[name],
  );
  if (differing.length === 0) {
    if (before.jwt !== wanted.jwt)
      throw new DeployError(
        `${state.path} has a deployment with ${before.jwt ? "tokens, not passwords" : "passwords, not tokens"}: its accounts are others. --state selects a folder for another one`,
      );
    return refuseSize(before, wanted, state);
  }
  const text = differing.map((name) => `${name} ${before[name]}, not ${wanted[name]}`).join("; ");
  const grows = before.topology === "single" && wanted.topology !== "single";
  const move = grows ? '"migrate" moves the streams of the single server to a cluster; ' : "";
  throw new DeployError(
    `${state.path} has a deployment with ${text}. ${move}"up" without these options continues it, "down --delete-data" deletes it with its streams, and --state selects a folder for another one`,
  );
}

function refuseSize(before: Deployment, wanted: UpOptions, state: StateDir): void {
  const [is, asked] = [before, wanted].map((plan) => planServers(plan).length);
  if (is !== asked)
    throw new DeployError(
      `${state.path} has a cluster of ${is} servers, not ${asked}: "scale ${asked}" changes their number`,
    );
}

/** In words: "secured cluster at port 4222, process". */
export function nameOf({ topology, secure, portBase, backend }: Plan & Pick<UpOptions, "backend">): string {
  return `${secure ? "secured" : "plain"} ${topology} at port ${portBase}, ${backend}`;
}

export function settingsOf(options: UpOptions): UpOptions {
  const { backend, topology, secure, portBase, size, jwt, composeProject } = options;
  return {
    backend,
    topology,
    secure,
    portBase,
    ...(size === undefined ? {} : { size }),
    ...(jwt === undefined ? {} : { jwt }),
    ...(composeProject === undefined ? {} : { composeProject }),
  };
}

function definedOf(asked: Asked): Partial<UpOptions> {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}

/** Without a record of the deployment, the stores of the processes say what it was. */
async function refuseForeignStreams(state: StateDir, plan: Plan): Promise<void> {
  const planned = new Set(planServers(plan).map(({ name }) => name));
  const hidden: string[] = [];
  for (const server of await foldersIn(state.path)) {
    for (const account of await accountsWithStreams(state.storeDir(server))) {
      const visible = planned.has(server) && (account === PLAIN_ACCOUNT) !== plan.secure;
      if (!visible) hidden.push(`${join(state.path, server)} (account ${account})`);
    }
  }
  if (hidden.length === 0) return;
  throw new DeployError(
    `${state.path} holds streams that a ${plan.secure ? "secured" : "plain"} ${plan.topology} would not see: ${hidden.join(", ")}. Give the options of the deployment that wrote them (--single, --secure, --supercluster, ...), select another folder with --state, or delete these folders`,
  );
}

/** A nats-server stores a stream in `<store>/jetstream/<account>/streams/<stream>`. */
export async function accountsWithStreams(storeDir: string): Promise<string[]> {
  const root = join(storeDir, "jetstream");
  const accounts: string[] = [];
  for (const account of await foldersIn(root)) {
    if ((await foldersIn(join(root, account, "streams"))).length > 0) accounts.push(account);
  }
  return accounts;
}

/** Empty if the folder does not exist. */
async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
