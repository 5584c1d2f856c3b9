import { expect, test } from "vitest";
import { deferred } from "../../scripts/shared/wait.ts";
import { FencedStream, type FencedWriter, withFence } from "../../src/fencing.ts";
import { Node, type Term } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { connection, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function ledger() {
  const stream = freshId("LEDGER");
  const store = await FencedStream.connect(await connection(server), { stream, subjects: [`${stream}.>`] });
  atEnd(() => store.close());
  return { store, subject: `${stream}.x` };
}

function nodeOf(clusterId: string, nodeId: string, hooks: ConstructorParameters<typeof Node>[1]): Node {
  const node = new Node({ clusterId, nodeId, servers: server.url, leaseTtlMs: 2000, logger: false }, hooks);
  atEnd(() => node[Symbol.asyncDispose]());
  return node;
}

test("the lease is won, then the fence is moved, then onBecomeLeader runs with the writer", async () => {
  const { store, subject } = await ledger();
  const order: string[] = [];
  const wrote = deferred<Term>();
  const target = {
    async open(term: Term): Promise<FencedWriter> {
      order.push(`lease of epoch ${term.epoch}`);
      const writer = await store.open(term);
      order.push(`fence of epoch ${(await store.holder())?.epoch}`);
      return writer;
    },
  };
  const node = nodeOf(
    freshId("c"),
    "a",
    withFence(target, {
      async onBecomeLeader(term, writer) {
        order.push("become");
        await writer.publish(subject, "1");
        wrote.resolve(term);
      },
      async onLoseLeadership(_term, writer, reason) {
        order.push(`lose: ${reason}`);
        await writer.publish(subject, "the last word, while draining");
      },
    }),
  );
  await node.start();
  const term = await wrote.promise;
  const { epoch, clusterId, incarnation } = term;
  expect(await store.holder()).toEqual({ epoch, clusterId, nodeId: "a", incarnation });
  await node.stop();
  expect(order).toEqual(["lease of epoch 1", "fence of epoch 1", "become", "lose: stopped"]);
});

test("renewals do not change the token", async () => {
  const { store, subject } = await ledger();
  const opened = deferred<FencedWriter>();
  const node = nodeOf(
    freshId("c"),
    "a",
    withFence(store, { onBecomeLeader: (_term, writer) => opened.resolve(writer) }),
  );
  await node.start();
  const writer = await opened.promise;
  const { token } = writer;
  const renewals = await (await operatorOf(server, node.clusterId)).hear();
  for (let i = 0; i < 3; i++) {
    await writer.publish(subject, String(i));
    await renewals.next(() => true);
  }
  expect([writer.token, node.epoch]).toEqual([token, 1]);
  expect((await store.open(node.term ?? termOf(9))).token).toBe(token);
});

test("a node that cannot move the fence steps down without a call of onBecomeLeader", async () => {
  const { store } = await ledger();
  await store.open(termOf(5));
  const calls: string[] = [];
  const node = nodeOf(
    freshId("c"),
    "a",
    withFence(store, {
      onBecomeLeader: () => void calls.push("become"),
      onLoseLeadership: () => void calls.push("lose"),
    }),
  );
  const events = node.events();
  await node.start();
  for await (const event of events) {
    if (event.type === "hook-error")
      expect(event.error).toMatchObject({ code: "STALE_EPOCH", token: 1, newest: 5 });
    if (event.type === "lose-leadership") {
      expect(event.reason).toBe("hook-failed");
      break;
    }
  }
  expect(calls).toEqual([]);
});
