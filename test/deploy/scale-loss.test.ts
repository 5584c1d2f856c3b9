/** A change of the number of servers never removes a server whose streams it cannot see. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { readStream } from "../support/deploy/streams.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/** Five servers are started: half a minute on a busy machine. */
const LONG_MS = 300_000;

test("scale refuses to remove a server that is down or frozen: it may have the only replica of a stream", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster", 5);
  const urls = urlsOf(await place.must("up --size 5"));
  const nats = await connect({ servers: urls, maxReconnectAttempts: -1 });
  atEnd(() => nats.close());
  const jsm = await jetstreamManager(nats);
  const placement = { cluster: "", tags: ["server:n5"] };
  await jsm.streams.add({ name: "LONE", subjects: ["lone"], placement });
  await jetstream(nats).publish("lone", "kept");

  process.kill(pidOf(place), "SIGSTOP");
  expect(await place.run("scale 3")).toMatchObject({
    code: 1,
    stderr: "error: nothing was changed: no answer from n5, whose streams could be lost",
  });
  process.kill(pidOf(place), "SIGCONT");

  const pid = pidOf(place);
  process.kill(pid, "SIGKILL");
  await waitFor(() => startOf(pid) === undefined, { timeoutMs: PATIENCE_MS });
  expect(await place.run("scale 3")).toMatchObject({
    code: 1,
    stderr: 'error: nothing was changed: n5 is not running, and what it stores could be lost; run "up" first',
  });
  await place.must("up");
  expect((await readStream(nats, "LONE")).messages).toHaveLength(1);
});

function pidOf(place: Deployment): number {
  return JSON.parse(readFileSync(join(place.state, "deployment.json"), "utf8")).processes.n5.pid;
}
