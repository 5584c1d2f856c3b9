/**
 * A child process of the benchmark: one node that reports its events, or one bare presence consumer. Exits with its
 * parent. Not part of the package's interface.
 */
import { connect } from "@nats-io/transport-node";
import { INACTIVE_THRESHOLD_MS } from "../nats/presence/presence.ts";
import { readTask } from "./child-task.ts";
import { type ChildTask, hostNowMs, report } from "./messages.ts";
import { fail, runNode } from "./run-node.ts";

async function runPresence(task: Extract<ChildTask, { role: "presence" }>): Promise<void> {
  const { stream, consumer } = task;
  const connection = await connect({ servers: [...task.servers] });
  const inbox = `_INBOX.bench.${consumer}`;
  connection.subscribe(inbox, { callback: () => {} });
  const config = {
    name: consumer,
    deliver_subject: inbox,
    deliver_policy: "new",
    ack_policy: "none",
    filter_subject: `${stream}.never`,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: INACTIVE_THRESHOLD_MS * 1_000_000,
    idle_heartbeat: 1_000_000_000,
  };
  const subject = `$JS.API.CONSUMER.CREATE.${stream}.${consumer}.${config.filter_subject}`;
  const answer = await connection.request(subject, JSON.stringify({ stream_name: stream, config }));
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error !== undefined) throw new Error(`presence consumer: ${error.description}`);
  report({ type: "ready", at: hostNowMs() });
}

const task = readTask<ChildTask>();
(task.role === "node" ? runNode(task) : runPresence(task)).catch(fail);
