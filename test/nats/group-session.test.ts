import { expect, test } from "vitest";
import type { SessionBinding } from "../../src/election/types.ts";
import { ALL_BEATS, CONNECTIONS_PING, consumerDeletedAdvisory } from "../../src/nats/names.ts";
import type { NatsSession } from "../../src/nats/presence/session.ts";
import type { SessionEvent } from "../../src/runtime/ports.ts";
import { freshStream, link, presenceOf, sessionOn } from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const SILENCE_MS = 500;

/** As the session record of a member names its connection. */
function holderOf({ binding }: NatsSession): SessionBinding {
  if (binding?.account === undefined) throw new Error("no beat has come back");
  const { serverId, clientId, account } = binding;
  return { serverId, clientId, presence: presenceOf(binding), silence: { ms: SILENCE_MS, account } };
}

async function watchedBy({ monitor }: NatsSession): Promise<string[]> {
  const { connection } = monitor;
  await connection.flush();
  const body = JSON.stringify({ cid: connection.info?.client_id, subscriptions: true });
  const answer = await connection.request(CONNECTIONS_PING, body);
  const { data } = answer.json<{ data: { connections: { subscriptions_list?: string[] }[] } }>();
  const list = data.connections[0]?.subscriptions_list ?? [];
  return list.filter((subject) => !subject.startsWith("_INBOX."));
}

test("a session watches the holders of its list, each for its presence and its beats, and no other", async () => {
  const stream = await freshStream(server);
  const sessions: NatsSession[] = [];
  for (let holder = 0; holder < 3; holder++) {
    const { session } = sessionOn(await link(server));
    await session.usePresence(stream);
    await session.useBeats(SILENCE_MS);
    sessions.push(session);
  }
  const [one, two, three] = sessions.map(holderOf) as [SessionBinding, SessionBinding, SessionBinding];
  const { session, events } = sessionOn(await link(server));
  session.watchHolders([one, two]);
  expect(await watchedBy(session)).toHaveLength(4);
  session.watchHolders([three, two, three]);
  // The first one may have been silent for too long by now, since it sends no beats.
  const earlier = events.items.length;
  const beat = ({ serverId, clientId }: SessionBinding): string =>
    ALL_BEATS.replace(">", `${serverId}.${clientId}`);
  const ended = ({ presence = "" }: SessionBinding): string => consumerDeletedAdvisory(presence);
  expect((await watchedBy(session)).sort()).toEqual(
    [beat(two), beat(three), ended(two), ended(three)].sort(),
  );
  // They send no beats: their silence is reported, and then the end of their connections.
  const about = (event: SessionEvent): string | number => {
    if ("presence" in event) return event.presence;
    return "connection" in event ? event.connection.clientId : event.type;
  };
  const reported = (...names: (string | number | undefined)[]) =>
    events.until((items) => names.every((name) => items.some((event) => about(event) === name)));
  await reported(two.clientId, three.clientId);
  for (const holder of sessions) await holder.release();
  await reported(two.presence, three.presence);
  const later = events.items.slice(earlier).map(about);
  expect(later).not.toContain(one.clientId);
  expect(later).not.toContain(one.presence);
  session.watchHolders([]);
  expect(await watchedBy(session)).toEqual([]);
});
