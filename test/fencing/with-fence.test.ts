import { describe, expect, test } from "vitest";
import { deferred, waitFor } from "../../scripts/shared/wait.ts";
import { FencedStream, type FencedWriter, withFence, withGroupFence } from "../../src/fencing.ts";
import type { ResourceTerm } from "../../src/group.ts";
import { Node, type Term } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { connection, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
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

describe("the fences of the resources of a group", () => {
  test("are moved before onOwn, and a former owner is refused per resource", async () => {
    const stores = await Promise.all(["x", "y"].map(async (name) => [name, await ledger()] as const));
    const found = new Map(stores);
    const of = ({ resource }: ResourceTerm): FencedStream => {
      const store = found.get(resource)?.store;
      if (store === undefined) throw new Error(`no ledger of ${resource}`);
      return store;
    };
    const order: string[] = [];
    const writers = new Map<string, FencedWriter>();
    const target = {
      async open(term: ResourceTerm): Promise<FencedWriter> {
        const writer = await of(term).open(term);
        order.push(`fence of ${term.resource}`);
        return writer;
      },
      close: ({ resource }: ResourceTerm) => void order.push(`close ${resource}`),
    };
    const members = new RealGroup(server.url, { resources: ["x", "y"] });
    const hooks = withGroupFence(target, {
      onOwn({ resource }, writer) {
        order.push(`own ${resource}`);
        writers.set(resource, writer);
      },
      async onDisown({ resource }, writer, reason) {
        await writer.publish(found.get(resource)?.subject ?? "", "the last word, while draining");
        order.push(`disown ${resource}: ${reason}`);
      },
    });
    const a = await members.start("a", {}, hooks);
    await waitFor(() => writers.size === 2, { message: "onOwn of both" });
    const [old] = [...writers.entries()].filter(([name]) => name === "x");
    await a.stop();
    for (const name of ["x", "y"]) {
      const own = order.filter((text) => text.split(/[ :]/).includes(name));
      expect(own).toEqual([`fence of ${name}`, `own ${name}`, `disown ${name}: stopped`, `close ${name}`]);
    }
    const fenced = new Set<string>();
    const open = (term: ResourceTerm): Promise<FencedWriter> => of(term).open(term);
    await members.start(
      "b",
      {},
      withGroupFence({ open }, { onOwn: ({ resource }) => void fenced.add(resource) }),
    );
    await waitFor(() => fenced.size === 2, { message: "the fences of b" });
    expect(await found.get("x")?.store.holder()).toMatchObject({ nodeId: "b" });
    await expect(old?.[1].publish(found.get("x")?.subject ?? "", "late")).rejects.toMatchObject({
      code: "STALE_EPOCH",
    });
  });

  test("that cannot be moved give the resource up, and a writer of a term that has ended is closed", async () => {
    const refused = new RealGroup(server.url, { resources: ["x"] });
    const a = refused.make(
      "a",
      {},
      withGroupFence({ open: () => Promise.reject(new Error("no fence")) }, {}),
    );
    const events = a.events();
    await refused.begin(a);
    for await (const event of events) {
      if (event.type !== "disown") continue;
      expect(event.reason).toBe("refused");
      break;
    }
    const ended = new RealGroup(server.url, { resources: ["x"] });
    const [opening, mayOpen, closed] = [deferred(), deferred(), deferred<string>()];
    const calls: string[] = [];
    const late = {
      async open(): Promise<string> {
        opening.resolve();
        await mayOpen.promise;
        return "the writer";
      },
      close: (_term: ResourceTerm, writer: string) => closed.resolve(writer),
    };
    const hooks = withGroupFence(late, {
      onOwn: () => void calls.push("own"),
      onDisown: () => void calls.push("disown"),
    });
    const b = await ended.start("b", {}, hooks);
    await opening.promise;
    b.drain().catch(() => {});
    await waitFor(() => b.term("x") === null || b.term("x")?.signal.aborted === true);
    mayOpen.resolve();
    expect(await closed.promise).toBe("the writer");
    expect(calls).toEqual([]);
  });
});
