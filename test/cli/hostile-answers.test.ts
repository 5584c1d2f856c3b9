/** What a client that may write to the bucket and answer requests can do to the commands of an operator. */
import { expect, test } from "vitest";
import { historyStream, historySubject, serviceName, statusSubject } from "../../src/nats/names.ts";
import { atEnd } from "../support/at-end.ts";
import { start } from "../support/cli/run-cli.ts";
import { type HereOutput, runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";
import { HOSTILE, UNSAFE } from "../terminal/hostile.ts";

const server = useNatsServer();
const ESCAPES = HOSTILE.slice(0, 4).join("");
const ABSURD_TIME = Number.MAX_SAFE_INTEGER;
const QUERIES = [["status"], ["nodes"], ["history"]] as const;
/** An examination takes longer: once as text, once as JSON. */
const DOCTOR = ["doctor"] as const;

async function clusterOf(
  record: object,
): Promise<{ operator: Operator; run: (...args: string[]) => Promise<HereOutput> }> {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await operator.createBucket(0);
  await operator.put({
    epoch: 5,
    acquired_at: Date.now(),
    incarnation: "i",
    nonce: 1,
    ttl_ms: 60_000,
    ...record,
  });
  const where = ["--cluster-id", clusterId, "--nats-url", server.url, "--timeout", "1s"];
  return { operator, run: (...args) => runHere([...args, ...where]) };
}

/** Answers `$SRV.INFO` as nodes with these ids and, on every status subject, with `status`. */
function pretend(operator: Operator, nodeIds: readonly string[], status: object): void {
  const { connection, clusterId } = operator;
  connection.subscribe(`$SRV.INFO.${serviceName(clusterId)}`, {
    callback: (_error, message) => {
      for (const [index, node] of nodeIds.entries()) {
        const info = {
          name: serviceName(clusterId),
          id: `X${index}`,
          version: `1.0.0${ESCAPES}`,
          metadata: { node },
        };
        message.respond(JSON.stringify(info));
      }
    },
  });
  connection.subscribe(statusSubject(clusterId, "*"), {
    callback: (_error, message) => {
      const nodeId = message.subject.split(".").at(-1);
      const fields = { role: "PASSIVE", leader: "x", epoch: 5, uptimeMs: 1e300, connected: true };
      message.respond(JSON.stringify({ nodeId, ...fields, ...status }));
    },
  });
}

test("control and bidi characters of records and answers do not reach the terminal", async () => {
  const { operator, run } = await clusterOf({ node_id: ESCAPES });
  pretend(operator, ["n1"], { state: ESCAPES, presence: ESCAPES, version: ESCAPES, blocked: ESCAPES });
  const history = historyStream(operator.clusterId);
  await operator.api(`STREAM.CREATE.${history}`, {
    name: history,
    subjects: [historySubject(operator.clusterId)],
  });
  const add = (entry: object): Promise<unknown> =>
    operator.connection.request(historySubject(operator.clusterId), JSON.stringify(entry));
  await add({ kind: "begin", node_id: ESCAPES, epoch: 4, at: 1 });
  await add({ kind: "end", node_id: ESCAPES, epoch: 4, at: 2, reason: ESCAPES });
  for (const command of [...QUERIES, DOCTOR, ["stepdown"], ["transfer", "n1"]] as const) {
    for (const flags of command === DOCTOR ? [[]] : [[], ["--json"]]) {
      const { stdout, stderr } = await run(...command, ...flags);
      expect([command, stdout + stderr]).not.toEqual([command, expect.stringMatching(UNSAFE)]);
    }
  }
});

test("history says how many messages are no records of terms", async () => {
  const { operator, run } = await clusterOf({ node_id: "a" });
  const subject = historySubject(operator.clusterId);
  await operator.api(`STREAM.CREATE.${historyStream(operator.clusterId)}`, {
    name: historyStream(operator.clusterId),
    subjects: [subject],
  });
  for (const garbage of ['{"type":"io.nats.jetstream.api.v1.stream_info_response"}', "no JSON"]) {
    await operator.connection.request(subject, garbage);
  }
  const { stderr } = await run("history");
  expect(stderr).toContain("2 of the newest messages in the stream of past terms are no records");
  expect(stderr).not.toContain("has not had a leader");
});

test("times that no date can express fail no command", async () => {
  const { operator, run } = await clusterOf({ node_id: "a", acquired_at: ABSURD_TIME });
  pretend(operator, ["a"], {});
  const history = historyStream(operator.clusterId);
  await operator.api(`STREAM.CREATE.${history}`, {
    name: history,
    subjects: [historySubject(operator.clusterId)],
  });
  const entry = JSON.stringify({ kind: "begin", node_id: "b", epoch: 6, at: ABSURD_TIME });
  await operator.connection.request(historySubject(operator.clusterId), entry);
  for (const command of [...QUERIES, DOCTOR]) {
    for (const flags of command === DOCTOR ? [["--json"]] : [[], ["--json"]]) {
      const { code, stdout, stderr } = await run(...command, ...flags);
      // 3: a node takes such a record for garbage. 5 and 6: findings of doctor.
      expect([command, [0, 3, 5, 6].includes(code), stdout + stderr]).toEqual([
        command,
        true,
        expect.any(String),
      ]);
    }
  }
});

test("nodes passes over ids that no node can have, and lists the others", async () => {
  const { operator, run } = await clusterOf({ node_id: "a" });
  pretend(operator, ["a b", "a..b", "*", ">", "x".repeat(5_000), "", "a"], {});
  const { code, stdout, stderr } = await run("nodes", "--json");
  expect([code, stderr]).toEqual([0, ""]);
  const { nodes } = JSON.parse(stdout) as { nodes: { nodeId: string }[] };
  // The one that answers is not the process that the lease names: that is a row of its own.
  expect(nodes.map(({ nodeId }) => nodeId)).toEqual(["a", "a"]);
});

test("answers that trickle in are waited for until the time limit of all, and not longer", async () => {
  const { operator, run } = await clusterOf({ node_id: "a" });
  const { connection, clusterId } = operator;
  pretend(operator, [], {});
  let timer: NodeJS.Timeout | undefined;
  atEnd(() => clearInterval(timer));
  let sent = 0;
  connection.subscribe(`$SRV.INFO.${serviceName(clusterId)}`, {
    callback: (_error, message) => {
      timer = setInterval(() => {
        sent += 1;
        const info = {
          name: serviceName(clusterId),
          id: `X${sent}`,
          version: "1.0.0",
          metadata: { node: `n${sent}` },
        };
        message.respond(JSON.stringify(info));
      }, 20);
    },
  });
  const { code, stdout } = await run("nodes", "--json");
  expect(code).toBe(0);
  const { nodes } = JSON.parse(stdout) as { nodes: object[] };
  expect(nodes.length).toBeGreaterThan(1);
  // The answers still come.
  const before = sent;
  await expect.poll(() => sent).toBeGreaterThan(before);
});

test("watch names a value on the key that is no lease record", async () => {
  const { operator } = await clusterOf({ node_id: ESCAPES });
  const watching = start<{ readonly event: string; readonly reason?: string }>([
    ...["watch", "--json", "--cluster-id", operator.clusterId, "--nats-url", server.url],
  ]);
  const found = await watching.next((line) => line.event === "garbage");
  expect(found.reason).toContain("node_id");
  await operator.del();
  await watching.next((line) => line.event === "deleted");
});
