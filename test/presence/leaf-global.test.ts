/**
 * A leaf node whose `$G` and another account are both bound to the hub's `$G`. Servers list no closed connections of `$G`, and an answer
 * for the other account has the same form: only an answer for `$G` counts.
 */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { confirmsDeath } from "../../scripts/shared/presence-questions.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { GLOBAL_ACCOUNT, tagOf } from "../../src/nats/presence/connz-answer.ts";
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
let port: number;
beforeAll(async () => {
  if (oldest) return;
  port = await freePort("127.0.0.1");
  hub = await startNatsServer({
    config: `default_js_domain: { "$G": "" }
      leafnodes { listen: "127.0.0.1:${port}" }`,
  });
  leaf = await startLeaf("$G", "OTHER");
});
afterAll(async () => {
  await leaf?.dispose();
  await hub?.dispose();
});

/** With a link for each of these accounts, to the `$G` of the hub. */
async function startLeaf(...accounts: readonly string[]): Promise<NatsServer> {
  const links = async (): Promise<number> => {
    const leafz = await fetch(`${hub.monitorUrl}/leafz`, { headers: { connection: "close" } });
    return ((await leafz.json()) as { leafnodes: number }).leafnodes;
  };
  const before = await links();
  const remotes = accounts.map(
    (account) => `{ url: "nats-leaf://127.0.0.1:${port}", account: "${account}" }`,
  );
  const server = await startNatsServer({
    jetstream: false,
    config: `default_js_domain: { "$G": "", OTHER: "" }
      accounts { OTHER { } }
      leafnodes { remotes: [ ${remotes.join()} ] }`,
  });
  await waitFor(async () => (await links()) === before + accounts.length);
  return server;
}

async function connected(server: NatsServer): Promise<NatsConnection> {
  const connection = await connect({ servers: server.url });
  atEnd(() => connection.close());
  return connection;
}

const OLD = "2.9 refuses the other account";

test.skipIf(oldest)(
  `a living leader on it is never confirmed dead by the answer for the other account; a closed connection is (${OLD})`,
  async () => {
    const clusterId = freshId();
    await startLeader(leaf, { ...LONG, clusterId, nodeId: "leader" });
    const operator = await operatorOf(hub, clusterId);
    const presence = await presenceIn(operator);
    const { server_id: serverId, client_id: clientId } = await sessionIn(operator);
    const closed = await connected(leaf);
    const closedId = closed.info?.client_id ?? 0;
    await closed.close();
    for (const server of [hub, leaf]) {
      const asker = openSession(await connected(server));
      for (let question = 0; question < 30; question += 1)
        expect(await confirmsDeath(asker, { serverId, clientId, presence }, 1000)).toBe(false);
      expect(await confirmsDeath(asker, { serverId, clientId: closedId, presence }, 1000)).toBe(true);
      await asker.release();
    }
  },
);

test.skipIf(oldest)(
  `while its link for $G is down, nothing on it is confirmed dead, and there is one warning (${OLD})`,
  async () => {
    const cut = await startLeaf("OTHER");
    atEnd(() => cut.dispose());
    const living = await connected(cut);
    const { server_id: serverId, client_id: clientId } = living.info ?? { server_id: "", client_id: 0 };
    const presence = `stream.presence_${tagOf(GLOBAL_ACCOUNT)}_0_1`;
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message);
    const asker = openSession(await connected(hub), { onWarning });
    for (let question = 0; question < 3; question += 1)
      expect(await confirmsDeath(asker, { serverId, clientId, presence }, 300)).toBe(false);
    expect(warnings).toEqual([
      expect.stringMatching(
        /noticed only when its lease has expired: its server does not answer for the account \$G/,
      ),
    ]);
    await asker.release();
    const near = openSession(await connected(cut));
    expect(await confirmsDeath(near, { serverId, clientId, presence }, 1000)).toBe(false);
    await living.close();
    expect(await confirmsDeath(near, { serverId, clientId, presence }, 1000)).toBe(true);
    await near.release();
  },
);

test("a follower whose account has another name than the leader's says that it cannot confirm its death", async () => {
  const warnings: string[] = [];
  const asker = openSession(await connected(await other()), {
    onWarning: (message) => void warnings.push(message),
  });
  const silence = { ms: 500, account: "0123456789ab" };
  asker.watchHolder({ serverId: "NSERVER", clientId: 7, silence });
  await waitFor(() => warnings.length > 0);
  expect(warnings).toEqual([
    expect.stringMatching(/noticed only when its lease has expired: its account has another name/),
  ]);
  await asker.release();
});

async function other(): Promise<NatsServer> {
  if (!oldest) return hub;
  const server = await startNatsServer();
  atEnd(() => server.dispose());
  return server;
}
