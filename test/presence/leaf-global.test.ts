/** A leaf node whose `$G` and another account are both bound to the hub's `$G`. Servers list no closed connections of `$G`. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { confirmsDeath } from "../../scripts/shared/presence-questions.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { openSession } from "../../src/nats/presence/session.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { oldest, presenceIn, sessionIn } from "../support/node/presence.ts";
import { startLeader } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";

let hub: NatsServer;
let leaf: NatsServer;
beforeAll(async () => {
  if (oldest) return;
  const port = await freePort("127.0.0.1");
  hub = await startNatsServer({
    config: `default_js_domain: { "$G": "" }
      leafnodes { listen: "127.0.0.1:${port}" }`,
  });
  leaf = await startNatsServer({
    jetstream: false,
    config: `default_js_domain: { "$G": "", OTHER: "" }
      accounts { OTHER { } }
      leafnodes { remotes: [ { url: "nats-leaf://127.0.0.1:${port}" }, { url: "nats-leaf://127.0.0.1:${port}", account: OTHER } ] }`,
  });
  await waitFor(async () => {
    const leafz = await fetch(`${hub.monitorUrl}/leafz`, { headers: { connection: "close" } });
    return ((await leafz.json()) as { leafnodes: number }).leafnodes === 2;
  });
});
afterAll(async () => {
  await leaf?.dispose();
  await hub?.dispose();
});

async function connected(server: NatsServer): Promise<NatsConnection> {
  const connection = await connect({ servers: server.url });
  atEnd(() => connection.close());
  return connection;
}

test.skipIf(oldest)(
  "a living leader on it is never confirmed dead by the answer for the other account; a closed connection is (2.9 refuses the other account)",
  async () => {
    const clusterId = freshId();
    await startLeader(leaf, { ...LONG, clusterId, nodeId: "leader" });
    const operator = await operatorOf(hub, clusterId);
    const presence = await presenceIn(operator);
    const { server_id: serverId, client_id: clientId } = await sessionIn(operator);
    const closed = await connected(leaf);
    const closedId = closed.info?.client_id ?? 0;
    await closed.close();
    const asker = openSession(await connected(hub));
    for (let question = 0; question < 30; question += 1) {
      expect(await confirmsDeath(asker, { serverId, clientId, presence }, 1000)).toBe(false);
    }
    expect(await confirmsDeath(asker, { serverId, clientId: closedId, presence }, 1000)).toBe(true);
    await asker.release();
  },
);
