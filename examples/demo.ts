/**
 * The demo (`npm start`): a real nats-server and three real processes that compete for one leadership. The leader is stopped,
 * requested to step down, killed and frozen; all times are measured while the demo runs.
 *
 * Exit codes: 0 if every scene ended as expected, 1 if not, 130 after Ctrl-C.
 */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "../src/testing.ts";
import { Chronicle } from "./demo/chronicle.ts";
import { NODES, Play, UnexpectedOutcome } from "./demo/play.ts";
import { killAll } from "./demo/processes.ts";
import { milliseconds, openView, type View } from "./demo/view.ts";

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

async function main(): Promise<number> {
  const interrupt = new AbortController();
  const { signal } = interrupt;
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (signal.aborted) process.exit(code); // a second signal: the exit hooks clean up
      interrupt.abort(code);
    });
  }
  process.stdout.on("error", () => process.exit(1));
  let server: NatsServer | undefined;
  let nats: NatsConnection | undefined;
  let view: View | undefined;
  let verdict: string;
  let code = 0;
  try {
    server = await startNatsServer({ signal, onProgress: (line) => console.log(line) });
    nats = await connect({ servers: server.url });
    const chronicle = new Chronicle(NODES);
    view = openView(process.stdout, chronicle, `three processes and one nats-server ${server.version}`);
    verdict = await perform(new Play({ chronicle, view, nats, url: server.url, signal }), chronicle);
  } catch (error) {
    code = signal.aborted ? signal.reason : 1;
    verdict = signal.aborted
      ? "interrupted"
      : error instanceof UnexpectedOutcome
        ? `failed: ${error.message}`
        : "failed";
    if (code === 1 && !(error instanceof UnexpectedOutcome)) console.error(error);
  }
  await killAll();
  await nats?.close().catch(() => {});
  await server?.dispose();
  if (view === undefined) console.log(verdict);
  else view.close(verdict, code === 0);
  return code;
}

async function perform(play: Play, chronicle: Chronicle): Promise<string> {
  await play.election();
  await play.gracefulStop();
  await play.stepDown();
  await play.crash();
  await play.restart();
  await play.freeze();
  const overlapMs = chronicle.overlapMs();
  if (overlapMs > 0) throw new UnexpectedOutcome(`two nodes led at once for ${milliseconds(overlapMs)}`);
  const epochs = chronicle.holds.map((hold) => hold.epoch).join(", ");
  return `ok: epochs ${epochs}; two leaders at once: ${milliseconds(overlapMs)}`;
}

process.exit(await main());
