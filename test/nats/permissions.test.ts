import { expect, test } from "vitest";
import { confirmsDeath, watchPresence } from "../../scripts/shared/presence-questions.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { newReplySubject, statusSubject, streamName } from "../../src/nats/names.ts";
import { permissionsFor } from "../../src/nats/permissions.ts";
import { startService } from "../../src/nats/service/service.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import {
  applied,
  entryAt,
  link,
  noAbort,
  presenceOf,
  put,
  sessionOn,
  storeOn,
  watching,
} from "../support/nats/store-and-session.ts";

test("a user with the permissions of permissionsFor() and no others can do everything a node does", async () => {
  const { publish, subscribe, inboxPrefix } = permissionsFor({
    clusterId: "billing",
    createBucket: true,
  });
  const allow = (subjects: readonly string[]): string => `{ allow: ${JSON.stringify(subjects)} }`;
  const server = await startNatsServer({
    config: `accounts { A { jetstream: enabled, users: [
      { user: node, password: p, permissions {
        publish ${allow(publish)}
        subscribe ${allow(subscribe)}
      } } ] } }`,
  });
  atEnd(() => server.dispose());
  const nats = await link(server, { user: "node", pass: "p", inboxPrefix });
  const errors: string[] = [];
  void (async () => {
    for await (const status of nats.connection.status()) {
      if (status.type === "error") errors.push(status.error.message);
    }
  })();

  const { session, events, warnings } = sessionOn(nats);
  const { store, warnings: bucketWarnings } = await storeOn(nats, "billing");
  await store.open(noAbort());
  const seen = watching(store);
  expect(await session.usePresence(streamName("billing"))).toBe("on");
  const { binding } = session;
  if (binding === null) throw new Error("no binding");
  watchPresence(session, presenceOf(binding));
  const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
  await entryAt(seen, first);
  const release = { kind: "release", epoch: 1, incarnation: "inc-a", expect: { revision: first } } as const;
  applied(await store.write(release, 2000));
  expect((await store.read(2000)).kind).toBe("snapshot");
  const other = await link(server, { user: "node", pass: "p", inboxPrefix });
  const clientId = other.connection.info?.client_id ?? 0;
  await other.connection.close();
  // `close()` does not wait until the server has closed its side.
  await waitFor(() => confirmsDeath(session, { ...binding, clientId }, 1000));
  expect(await confirmsDeath(session, binding, 1000)).toBe(false);

  const status = () =>
    ({ nodeId: "a", role: "PASSIVE", leader: "", epoch: 0, uptimeMs: 1, connected: true }) as const;
  const service = await startService(
    nats.connection,
    { clusterId: "billing", nodeId: "a", version: "1.0.0" },
    { status, stepDown: async () => {} },
  );
  const asked = { timeout: 2000, noMux: true, reply: newReplySubject("billing", "a") };
  const answer = await nats.connection.request(statusSubject("billing", "a"), "", asked);
  expect(answer.json()).toEqual(status());
  expect(
    (
      await nats.connection.request("$SRV.PING.cluster_billing", "", { timeout: 300 }).catch(String)
    ).toString(),
  ).toMatch(/violation/i);
  await service.stop();
  await session.release();
  await nats.connection.flush();
  expect(events.items.filter((event) => event.type === "rebound")).toHaveLength(1);
  expect([...warnings, ...bucketWarnings]).toEqual([]);
  // The only violation is this test's own request to $SRV, to which a node never publishes.
  await waitFor(() => errors.length > 0);
  expect(errors).toEqual([expect.stringContaining("$SRV.PING.cluster_billing")]);
});
