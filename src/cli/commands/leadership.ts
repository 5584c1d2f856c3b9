/** Commands that change who leads: each asks running nodes, none joins the election itself. */
import type { Command } from "commander";
import type { LoadedConfig } from "../../config/file/load.ts";
import { ClusterError } from "../../errors.ts";
import { Manager } from "../../manager/manager.ts";
import { type HandoverResult, handOver } from "../../manager/operations.ts";
import { nobodyLeads } from "../exit.ts";
import {
  askingCommand,
  type ClusterFlags,
  clusterCommand,
  configOf,
  someTime,
  withCluster,
} from "../options.ts";
import { note, print, printJson } from "../output.ts";
import { untilSignal } from "../signals.ts";

const PATIENCE_MS = 15_000;

interface StepdownFlags extends ClusterFlags {
  readonly to?: string;
}

export function promote(): Command {
  return clusterCommand("promote", "whoever leads hands over to this node")
    .option("--timeout <time>", "longest wait until it leads (default: 15s)", someTime)
    .addHelpText("after", "\nExample:\n  nats-leader promote --config b.json")
    .action(async (flags: ClusterFlags) => {
      const ending = untilSignal();
      const limits = { timeoutMs: flags.timeout ?? PATIENCE_MS, signal: ending.signal };
      const done = await manager(flags)
        .promote(limits)
        .finally(() => ending.close());
      tell(flags, done, done.already ? `${done.nodeId} leads already` : "Successfully promoted to leader");
    });
}

export function demote(): Command {
  return askingCommand("demote", "this node steps down, if it leads")
    .addHelpText("after", "\nExample:\n  nats-leader demote --config a.json")
    .action(async (flags: ClusterFlags) => {
      const done = await manager(flags).demote();
      if (flags.json === true) return printJson({ ok: true, ...done });
      if (done.demoted) return print("Successfully demoted");
      print(done.leader === null ? "Nothing to do: nobody leads" : `Nothing to do: "${done.leader}" leads`);
    });
}

export function join(): Command {
  return askingCommand("join", "check the cluster; a node that left competes again")
    .addHelpText("after", "\nExample:\n  nats-leader join --config a.json")
    .action(async (flags: ClusterFlags) => {
      const found = await manager(flags).join();
      if (flags.json === true) return printJson({ ok: true, status: found });
      note(found.leader === "" ? "nobody leads" : `${found.leader} leads, epoch ${found.epoch}`);
      if (found.daemon !== "running") note('this node does not run yet: "nats-leader daemon" starts it');
      print("Successfully joined cluster");
    });
}

export function leave(): Command {
  return askingCommand("leave", "this node hands over and competes no more")
    .addHelpText(
      "after",
      `
Until "nats-leader join", or until the daemon is started again.

Example:
  nats-leader leave --config a.json`,
    )
    .action(async (flags: ClusterFlags) => {
      if (!(await manager(flags).leave()))
        note("note: no daemon of this node answers, so nothing competes in its name");
      if (flags.json === true) printJson({ ok: true });
      else print("Successfully left cluster");
    });
}

export function stepdown(): Command {
  return clusterCommand("stepdown", "the leader gives up leadership; its work stops first")
    .argument("[node]", "the node that leads (default: whoever does)")
    .option("--to <node>", "the node that goes first")
    .option("--timeout <time>", "longest wait for its work to stop (default: 15s)", someTime)
    .addHelpText("after", "\nExample:\n  nats-leader stepdown node-a --to node-b --cluster-id billing")
    .action(async (node: string | undefined, flags: StepdownFlags) => {
      const patience = flags.timeout ?? PATIENCE_MS;
      const done = await withCluster({ ...flags, timeout: 2_000 }, async (client) => {
        const { leader, epoch } = await client.situation();
        const asked = node ?? leader;
        if (asked === null) throw nobodyLeads(client.clusterId);
        const started = performance.now();
        await client.stepDown(asked, flags.to, patience);
        return { ok: true, nodeId: asked, epoch, to: flags.to ?? null, tookMs: since(started) };
      });
      if (flags.json === true) return printJson(done);
      print(`${done.nodeId} has stepped down (${done.tookMs} ms)`);
    });
}

export function transfer(): Command {
  return clusterCommand("transfer", "whoever leads hands over to that node")
    .argument("<node>", "the node that is to lead")
    .option("--timeout <time>", "longest wait until it leads (default: 15s)", someTime)
    .addHelpText("after", "\nExample:\n  nats-leader transfer node-b --cluster-id billing")
    .action(async (node: string, flags: ClusterFlags) => {
      const done = await withCluster({ ...flags, timeout: 2_000 }, async (client) => {
        const { leader } = await client.situation();
        if (leader === null) throw nobodyLeads(client.clusterId);
        return handOver(client, node, flags.timeout ?? PATIENCE_MS);
      });
      const from = done.from === null ? "" : ` after ${done.from}`;
      const text = `${done.nodeId} leads${from}, epoch ${done.epoch} (${done.tookMs} ms)`;
      tell(flags, done, done.already ? `${done.nodeId} leads already` : text);
    });
}

function since(started: number): number {
  return Math.round((performance.now() - started) * 10) / 10;
}

function tell(flags: ClusterFlags, done: HandoverResult, text: string): void {
  if (flags.json === true) printJson({ ok: true, ...done });
  else print(text);
}

function manager(flags: ClusterFlags): Manager {
  const loaded: LoadedConfig = configOf(flags, false);
  if (loaded.nodeId === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      "which node? Give --node-id, or --config with the file of the node",
    );
  }
  return new Manager(loaded, {}, { timeoutMs: flags.timeout ?? 2_000 });
}
