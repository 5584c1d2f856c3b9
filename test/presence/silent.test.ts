/**
 * A leader that vanishes without the end of its connection: frozen, or its cable pulled. Its server goes on listing the connection as
 * open, but the number of messages that it counts no longer rises. No lease expires during these tests.
 */
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { tagOf } from "../../src/nats/presence/connz-answer.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "../../src/testing.ts";
import { freshId } from "../support/fresh-id.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { hearQuestions, isQuestion, sessionIn } from "../support/node/presence.ts";
import { proxied } from "../support/node/proxy.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const SILENCE_MS = 1_000;
const SILENT = { ...LONG, silenceMs: SILENCE_MS } as const;

describe.each([PINNED_NATS_VERSION, OLDEST_NATS_VERSION])("on nats-server %s", (version) => {
  const server = useNatsServer({ version });

  test("the first record of a leader promises silence", async () => {
    const clusterId = freshId();
    const leader = await startLeader(server, { ...SILENT, clusterId, nodeId: "leader" });
    const record = await (await operatorOf(server, clusterId)).record();
    expect(record).toMatchObject({
      epoch: 1,
      session: { silence: { ms: SILENCE_MS, account: tagOf("$G") } },
    });
    expect(leader.warnings("SESSION")).toEqual([]);
  });

  test.each(["presence", "silence"] as const)(
    "a leader that is frozen is replaced, answers false first, and loses its term (%s)",
    async (crashDetection) => {
      const clusterId = freshId();
      const shared = { ...SILENT, crashDetection, clusterId };
      const frozen = await startChildNode(server, { ...shared, nodeId: "frozen" });
      await frozen.next("become");
      const other = await startNode(server, { ...shared, nodeId: "other" });
      await other.until(() => other.node.epoch === 1);
      frozen.send({ do: "spin", gapMs: 500, limitMs: 60_000 });
      await frozen.next("spinning");
      frozen.child.kill("SIGSTOP");
      expect((await other.becomes()).epoch).toBe(2);
      frozen.child.kill("SIGCONT");
      expect(await frozen.next("spun")).toMatchObject({ after: false });
      expect(await frozen.next("lose-ended")).toMatchObject({ epoch: 1, reason: "superseded" });
      await other.leads();
      expect(other.count("lose-leadership")).toBe(0);
    },
  );

  test("a leader whose cable is pulled is replaced, and has suspended its term before", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const leader = await startLeader(proxy, { ...SILENT, clusterId, nodeId: "leader" });
    const other = await startNode(server, { ...SILENT, clusterId, nodeId: "other" });
    await other.sees(leader);
    const both: unknown[] = [];
    other.onEvent(() => {
      if (other.node.isLeader() && leader.node.isLeader()) both.push(other.types());
    });
    proxy.blackhole(true);
    await leader.next("suspended");
    expect((await other.becomes()).epoch).toBe(2);
    expect(leader.node.isLeader()).toBe(false);
    proxy.blackhole(false);
    expect(await leader.next("lose-leadership")).toMatchObject({ reason: "superseded" });
    expect(both).toEqual([]);
  });

  test("a leader whose beats its follower cannot hear is asked about, and stays", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    proxy.filterToClient(({ subject }) => !subject.startsWith("nats_leader.beat."));
    const leader = await startLeader(server, { ...SILENT, clusterId, nodeId: "leader" });
    const deaf = await startNode(proxy, { ...SILENT, heartbeatIntervalMs: 500, clusterId, nodeId: "deaf" });
    await deaf.sees(leader);
    const operator = await operatorOf(server, clusterId);
    const questions = await hearQuestions(operator);
    const { client_id: own } = await sessionIn(operator);
    // The pauses between the questions grow to a heartbeat. So many span several times the promised silence.
    await questions.until((asked) => asked.filter((cid) => cid === own).length >= 8, 60_000);
    await leader.leads();
    expect([deaf.count("become-leader"), leader.count("suspended"), leader.count("lose-leadership")]).toEqual(
      [0, 0, 0],
    );
    expect(await sessionIn(operator)).toMatchObject({ client_id: own });
  });
});

describe("two answers", () => {
  const server = useNatsServer();

  test("with crash detection by silence a record names no presence, and a killed leader is replaced after the silence that it promised", async () => {
    const clusterId = freshId();
    const shared = { ...SILENT, crashDetection: "silence", clusterId } as const;
    const leader = await startChildNode(server, { ...shared, nodeId: "leader" });
    await leader.next("become");
    const operator = await operatorOf(server, clusterId);
    const session = await sessionIn(operator);
    expect(session).toMatchObject({ silence: { ms: SILENCE_MS } });
    expect(session.presence).toBeUndefined();
    const proxy = await proxied(server);
    const other = await startNode(proxy, { ...shared, nodeId: "other" });
    await other.until(() => other.node.epoch === 1);
    const questions = await hearQuestions(operator);
    leader.child.kill("SIGKILL");
    expect((await other.becomes()).epoch).toBe(2);
    expect(questions.items.filter((cid) => cid === session.client_id).length).toBeGreaterThanOrEqual(2);
  });

  test("a follower that asks twice while the leader is frozen takes over only after the second answer", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const frozen = await startChildNode(server, { ...SILENT, clusterId, nodeId: "frozen" });
    await frozen.next("become");
    const other = await startNode(proxy, { ...SILENT, clusterId, nodeId: "other" });
    await other.until(() => other.node.epoch === 1);
    const first = proxy.takeNextToServer(isQuestion, 60_000);
    frozen.child.kill("SIGSTOP");
    const question = await first;
    const second = proxy.takeNextToServer(isQuestion, 60_000);
    question.release();
    const confirming = await second;
    expect(other.count("become-leader")).toBe(0);
    confirming.release();
    await waitFor(() => other.node.isLeader());
    frozen.child.kill("SIGCONT");
    expect(await frozen.next("lose-ended")).toMatchObject({ reason: "superseded" });
  });
});
