/** What each server of a cluster stores of a stream, from its monitoring port: acknowledged messages may be missing at one of them. */
import { readMonitor } from "../../../src/testing/server/run/probe.ts";
import type { NatsServer } from "../../../src/testing.ts";

const ASK_MS = 2000;

interface Replica {
  readonly messages: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export async function replicasText(servers: readonly NatsServer[], stream: string): Promise<string> {
  const texts = servers.map(async (server) => {
    const found = await replicaAt(server, stream);
    const stored =
      found === null ? "unknown" : `${found.messages} messages, ${found.firstSeq} to ${found.lastSeq}`;
    return `${server.name} ${stored}`;
  });
  return (await Promise.all(texts)).join(", ");
}

interface Jsz {
  readonly account_details?: readonly { readonly stream_detail?: readonly StreamDetail[] }[];
}

interface StreamDetail {
  readonly name: string;
  readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
}

/** `null`: the server does not answer, or does not have the stream. */
async function replicaAt({ monitorUrl }: NatsServer, stream: string): Promise<Replica | null> {
  const answer = await readMonitor(`${monitorUrl}/jsz?streams=true`, ASK_MS);
  const details = (answer?.body as Jsz | undefined)?.account_details ?? [];
  const state = details.flatMap((it) => it.stream_detail ?? []).find((it) => it.name === stream)?.state;
  if (state === undefined) return null;
  return { messages: state.messages, firstSeq: state.first_seq, lastSeq: state.last_seq };
}
