/** The commands that change the leader. Each sends requests to running nodes; none joins the election. */
import type { Command } from "commander";
import { ClusterError } from "../../errors.ts";
import type { ClusterClient, Situation } from "../../manager/cluster-client.ts";
import { Manager } from "../../manager/manager.ts";
import { type HandoverResult, handOver, noBucketTodo, stepDownNode } from "../../manager/operations.ts";
import { CliError, EXIT } from "../exit.ts";
import {
  type ClusterFlags,
  configOf,
  DEFAULT_TIMEOUT_MS,
  nodeIdOf,
  positiveDuration,
  withCluster,
  withClusterOptions,
  withConnectLimit,
  withQueryOptions,
} from "../options.ts";
import { note, print, printJson } from "../output.ts";
import { interruptible } from "../signals.ts";

const CHANGE_TIMEOUT_MS = 15_000;

interface StepdownFlags extends ClusterFlags {
  readonly to?: string;
}

export function promote(command: Command): Command {
  return withChangeTimeout(command, "time limit until this node leads")
    .addHelpText("after", PROMOTE_HELP)
    .action(async (flags: ClusterFlags) => {
      const timeoutMs = flags.timeout ?? CHANGE_TIMEOUT_MS;
      const manager = managerFor({ ...flags, timeout: Math.min(DEFAULT_TIMEOUT_MS, timeoutMs) });
      const done = await interruptible((signal) => manager.promote({ timeoutMs, signal }));
      const text = "Successfully promoted to leader";
      printHandover(flags, done, done.already ? `${done.nodeId} already leads` : text);
    });
}

const PROMOTE_HELP = `
The leader hands over to this node. Without a leader, this node skips its
cooldown. The daemon of this node must run and compete.

Example:
  nats-leader promote --config b.json`;

export function demote(command: Command): Command {
  return withQueryOptions(command)
    .addHelpText("after", DEMOTE_HELP)
    .action(async (flags: ClusterFlags) => {
      const manager = managerFor(flags);
      const done = await interruptible(() => manager.demote());
      if (flags.json === true) return printJson({ ok: true, ...done });
      if (done.demoted) return print("Successfully demoted");
      print(`Nothing to do: ${done.leader === null ? "there is no leader" : `"${done.leader}" leads`}`);
    });
}

const DEMOTE_HELP = `
Returns after the node's work has ended and its lease is released. Exits 0 if
the node does not lead.

Example:
  nats-leader demote --config a.json`;

export function join(command: Command): Command {
  return withQueryOptions(command)
    .addHelpText("after", JOIN_HELP)
    .action(async (flags: ClusterFlags) => {
      const manager = managerFor(flags);
      const found = await interruptible(() => manager.join());
      if (flags.json === true) return printJson({ ok: true, status: found });
      note(found.leader === "" ? "there is no leader" : `${found.leader} leads, epoch ${found.epoch}`);
      if (found.daemon !== "running") note('this node is not running: "nats-leader daemon" starts it');
      print("Successfully joined cluster");
    });
}

const JOIN_HELP = `
Checks that the cluster is reachable. Reverses "nats-leader leave" on a running
daemon; does not start one.

Example:
  nats-leader join --config a.json`;

export function leave(command: Command): Command {
  return withQueryOptions(command)
    .addHelpText("after", LEAVE_HELP)
    .action(async (flags: ClusterFlags) => {
      const manager = managerFor(flags);
      if (!(await interruptible(() => manager.leave())))
        note("note: no daemon of this node answers, so nothing competes under its node id");
      if (flags.json === true) printJson({ ok: true });
      else print("Successfully left cluster");
    });
}

const LEAVE_HELP = `
The daemon releases its leadership and follows until "nats-leader join" or
until it is restarted.

Example:
  nats-leader leave --config a.json`;

export function stepdown(command: Command): Command {
  return withChangeTimeout(
    command.argument("[node]", "node id of the leader (default: the present leader)", nodeIdOf),
    "time limit until the leader's work has ended",
  )
    .option("--to <node>", "node that takes over; the leader refuses if it cannot", nodeIdOf)
    .addHelpText("after", STEPDOWN_HELP)
    .action(async (node: string | undefined, flags: StepdownFlags) => {
      const timeoutMs = flags.timeout ?? CHANGE_TIMEOUT_MS;
      const done = await withinLimit(flags, async (client) => {
        const situation = await client.situation();
        const target = node ?? situation.leader;
        if (target === null) throw await noLeader(client, situation);
        const started = performance.now();
        await stepDownNode(client, target, flags.to, situation, timeoutMs);
        return {
          ok: true,
          nodeId: target,
          epoch: situation.epoch,
          to: flags.to ?? null,
          tookMs: since(started),
        };
      });
      if (flags.json === true) return printJson(done);
      print(`${done.nodeId} has stepped down (${done.tookMs} ms)`);
    });
}

const STEPDOWN_HELP = `
Returns after the leader's work has ended and its lease is released. Without a
node argument it exits 3 if there is no leader.

Example:
  nats-leader stepdown node-a --to node-b --cluster-id billing`;

export function transfer(command: Command): Command {
  return withChangeTimeout(
    command.argument("<node>", "node id of the next leader", nodeIdOf),
    "time limit until the node leads",
  )
    .addHelpText("after", TRANSFER_HELP)
    .action(async (node: string, flags: ClusterFlags) => {
      const done = await withinLimit(flags, async (client) => {
        const situation = await client.situation();
        if (situation.leader === null) throw await noLeader(client, situation);
        return handOver(client, node, flags.timeout ?? CHANGE_TIMEOUT_MS);
      });
      const from = done.from === null ? "" : ` after ${done.from}`;
      const text = `${done.nodeId} leads${from}, epoch ${done.epoch} (${done.tookMs} ms)`;
      printHandover(flags, done, done.already ? `${done.nodeId} already leads` : text);
    });
}

const TRANSFER_HELP = `
The leader hands over to the node, which must answer and compete. Exits 3 if
there is no leader.

Example:
  nats-leader transfer node-b --cluster-id billing`;

function withChangeTimeout(command: Command, what: string): Command {
  return withClusterOptions(command).option("--timeout <time>", `${what} (default: 15s)`, positiveDuration);
}

/** `--timeout` limits the whole command; within it, each answer is waited for as long as by the queries. */
function withinLimit<T>(flags: ClusterFlags, run: (client: ClusterClient) => Promise<T>): Promise<T> {
  const limitMs = flags.timeout ?? CHANGE_TIMEOUT_MS;
  const answering = { ...flags, timeout: Math.min(DEFAULT_TIMEOUT_MS, limitMs) };
  return interruptible((signal) => withCluster(answering, run, { limitMs, signal }));
}

async function noLeader(client: ClusterClient, { lease }: Situation): Promise<CliError> {
  const why = lease.exists
    ? '; "nats-leader nodes" shows which nodes compete'
    : `: it has no bucket. ${await noBucketTodo(client)}`;
  return new CliError(EXIT.noLeader, "NO_LEADER", `cluster "${client.clusterId}" has no leader${why}`);
}

function since(started: number): number {
  return Math.round((performance.now() - started) * 10) / 10;
}

function printHandover(flags: ClusterFlags, done: HandoverResult, text: string): void {
  if (flags.json === true) printJson({ ok: true, ...done });
  else print(text);
}

function managerFor(flags: ClusterFlags): Manager {
  const loaded = configOf(flags, false, { namedByHost: true });
  if (loaded.nodeId === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "no node id: this command acts on one node; pass --node-id, or --config with the node's file",
    );
  }
  const timeoutMs = flags.timeout ?? DEFAULT_TIMEOUT_MS;
  const limited = { ...loaded, nodeOptions: withConnectLimit(loaded.nodeOptions, timeoutMs) };
  return new Manager(limited, {}, { timeoutMs });
}
