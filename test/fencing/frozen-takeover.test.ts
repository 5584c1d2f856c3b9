/**
 * A takeover that is frozen before any one of its requests, while the fence is removed and taken by a later term. The request is
 * then delivered. The takeover has to fail: the later term did not move its lanes.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { FencedStream } from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, contents, deleteStream, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** More requests than a takeover sends: the loop ends with the first one that a takeover completes without. */
const MOST_REQUESTS = 30;

async function removeFence(nats: NatsConnection, stream: string, how: "purge" | "recreate"): Promise<void> {
  if (how === "purge") {
    await api(nats, `STREAM.PURGE.${stream}`, { filter: `nats_leader.fence.${stream}.>` });
    return;
  }
  const { config } = (await api(nats, `STREAM.INFO.${stream}`)) as { config: object };
  await deleteStream(nats, stream);
  await api(nats, `STREAM.CREATE.${stream}`, config);
}

test.each([
  ["purge", "vacant"],
  ["purge", "held"],
  ["purge", "held with fewer lanes"],
  ["recreate", "vacant"],
  ["recreate", "held"],
  ["recreate", "held with fewer lanes"],
] as const)("a %s and a later term while the takeover of a %s fence is frozen", async (how, before) => {
  const nats = await connection(server);
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  const slow = await connection(proxy);
  let frozen = 0;
  for (let at = 1; at <= MOST_REQUESTS; at++) {
    const stream = freshId("FROZEN");
    const subject = `${stream}.x`;
    const open = async (on: NatsConnection, lanes: number) => {
      const store = await FencedStream.connect(on, {
        stream,
        subjects: [`${stream}.>`],
        lanes,
        timeoutMs: 9000,
      });
      atEnd(() => store.close());
      return store;
    };
    const later = await open(nats, 1);
    if (before !== "vacant") await later.open(termOf(6));
    const store = await open(slow, before === "held with fewer lanes" ? 2 : 1);
    let sent = 0;
    const taking = proxy.takeNextToServer((frame) => (frame.subject ?? "").includes(stream) && ++sent === at);
    const opening = store.open(termOf(7), { timeoutMs: 9000 });
    const held = await Promise.race([taking, opening.then(() => null)]);
    if (held === null) {
      taking.catch(() => {}); // the proxy is closed before it has taken one
      break;
    }
    frozen += 1;
    await removeFence(nats, stream, how);
    const newest = await later.open(termOf(8));
    await newest.publish(subject, "8");
    held.release();
    await expect(opening, `request ${at}`).rejects.toMatchObject({
      code: "STALE_EPOCH",
      token: 7,
      newest: 8,
    });
    expect(await contents(nats, stream, (name) => name === subject)).toEqual([`${subject}=8`]);
  }
  expect(frozen).toBeGreaterThan(5);
  expect(frozen).toBeLessThan(MOST_REQUESTS);
});
