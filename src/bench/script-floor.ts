/** How long a takeover takes that is written by hand on nats.js. */

import { dial } from "./dial.ts";
import { Fleet } from "./fleet.ts";
import { callStreamApi } from "./floor.ts";
import type { FailoverOptions } from "./options.ts";
import { killRounds } from "./rounds.ts";
import { republished } from "./script.ts";
import { type Summary, summarize } from "./stats.ts";

const STREAM = "bench_script";
const PATIENCE_MS = 10_000;

export interface ScriptOptions extends Pick<FailoverOptions, "rounds" | "nodes" | "signal" | "onProgress"> {
  readonly servers: readonly string[];
  readonly replicas: number;
}

/** As mode `kill`, with scripts instead of nodes. */
export async function measureScript(options: ScriptOptions): Promise<Summary> {
  const { servers, replicas, nodes, signal } = options;
  const connection = await dial(servers, signal);
  const fleet = new Fleet({ role: "script", servers, stream: STREAM, signal });
  try {
    const subject = `${STREAM}.lease`;
    await callStreamApi(connection, signal, `CREATE.${STREAM}`, {
      name: STREAM,
      subjects: [`${STREAM}.>`],
      max_msgs_per_subject: 1,
      num_replicas: replicas,
      republish: { src: subject, dest: republished(STREAM) },
    });
    for (let count = 0; count < nodes; count++) fleet.add();
    await fleet.settled();
    const samplesMs = await killRounds({ options, fleet, patienceMs: PATIENCE_MS }, "script");
    await callStreamApi(connection, signal, `DELETE.${STREAM}`, {});
    return summarize(samplesMs);
  } finally {
    await fleet.dispose();
    await connection.close();
  }
}
