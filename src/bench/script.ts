/**
 * The shortest program that takes over from a killed leader, written by hand on nats.js: advisory, question about the connection,
 * compare-and-set. It has no term that ends, no release, no lease and no checks: it shows what such a takeover costs in JavaScript
 * before any of them.
 */
import { connect, headers } from "@nats-io/transport-node";
import { type ChildTask, hostNowMs, report } from "./messages.ts";
import { createPresence } from "./presence-client.ts";

type ScriptTask = Extract<ChildTask, { role: "script" }>;

/** What a leader writes. */
interface Holder {
  readonly nodeId: string;
  readonly epoch: number;
  readonly clientId: number;
  readonly presence: string;
}

const TIMEOUT_MS = 5_000;

/** Takes part in the takeovers of one stream until the process is killed. */
export async function runScript({ servers, stream, nodeId }: ScriptTask): Promise<void> {
  const connection = await connect({ servers: [...servers], noAsyncTraces: true });
  const { server_id: serverId, client_id: clientId } = connection.info ?? {};
  const presence = `presence_${nodeId}`;
  const inbox = `_INBOX.bench.${nodeId}`;
  const subject = `${stream}.lease`;
  let holder: Holder | null = null;
  let revision = 0;
  let epoch = 0;
  /** The revision whose holder was asked about. */
  let askedAbout = 0;

  const acquire = (): void => {
    const expected = headers();
    expected.set("Nats-Expected-Last-Subject-Sequence", String(revision));
    epoch = (holder?.epoch ?? 0) + 1;
    const record = JSON.stringify({ nodeId, epoch, clientId, presence });
    connection.publish(subject, record, { headers: expected, reply: `${inbox}.ack` });
  };
  const observe = (record: Holder, sequence: number): void => {
    holder = record;
    revision = sequence;
    report({ type: "leader", at: hostNowMs(), nodeId: record.nodeId, epoch: record.epoch });
  };

  connection.subscribe(`${inbox}.ack`, {
    callback: (_error, message) => {
      if (message.json<{ error?: object }>().error !== undefined) return;
      report({ type: "become", at: hostNowMs(), epoch });
      report({ type: "held", at: hostNowMs(), epoch, by: "become-leader" });
    },
  });
  connection.subscribe(`${inbox}.connz`, {
    callback: (_error, message) => {
      const { server, data } = message.json<{ server: { id: string }; data: { connections: unknown[] } }>();
      if (server.id === serverId && data.connections.length === 0 && revision === askedAbout) acquire();
    },
  });
  connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.DELETED.${stream}.*`, {
    callback: (_error, { subject: advisory }) => {
      if (holder === null || !advisory.endsWith(holder.presence)) return;
      askedAbout = revision;
      const question = JSON.stringify({ cid: holder.clientId, state: 0 });
      connection.publish("$SYS.REQ.ACCOUNT.PING.CONNZ", question, { reply: `${inbox}.connz` });
    },
  });
  connection.subscribe(republished(stream), {
    callback: (_error, message) =>
      observe(message.json<Holder>(), Number(message.headers?.get("Nats-Sequence"))),
  });
  await createPresence(connection, stream, presence);
  const stored = await connection.request(
    `$JS.API.STREAM.MSG.GET.${stream}`,
    JSON.stringify({ last_by_subj: subject }),
    { timeout: TIMEOUT_MS },
  );
  const { message } = stored.json<{ message?: { seq: number; data: string } }>();
  if (message === undefined) acquire();
  else observe(JSON.parse(Buffer.from(message.data, "base64").toString()) as Holder, message.seq);
  report({ type: "ready", at: hostNowMs() });
}

/** Where the server sends what was written to the stream. */
export function republished(stream: string): string {
  return `${stream}_republished`;
}
