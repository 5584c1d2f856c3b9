/**
 * A child process of the benchmark: one node that reports its events, one bare presence
 * consumer, or one candidate of the hand-written takeover. Exits with its
 * parent. Not part of the package's interface.
 */
import { connect } from "@nats-io/transport-node";
import { readTask } from "./child-task.ts";
import { type ChildTask, hostNowMs, report } from "./messages.ts";
import { createPresence } from "./presence-client.ts";
import { fail, runNode } from "./run-node.ts";
import { runScript } from "./script.ts";

async function runPresence(task: Extract<ChildTask, { role: "presence" }>): Promise<void> {
  const connection = await connect({ servers: [...task.servers] });
  await createPresence(connection, task.stream, task.consumer);
  report({ type: "ready", at: hostNowMs() });
}

function run(task: ChildTask): Promise<unknown> {
  switch (task.role) {
    case "node":
      return runNode(task);
    case "script":
      return runScript(task);
    case "presence":
      return runPresence(task);
    default:
      return task satisfies never;
  }
}

run(readTask<ChildTask>()).catch(fail);
