/** What raises `in_msgs`, and when. */
import { waitFor } from "../../shared/wait.ts";
import { type ConnzFact, type ConnzWorld, isOldest, type Notes, TWO_ACCOUNTS, withServer } from "./fact.ts";
import { pub, type RawClient } from "./raw-client.ts";

const COUNTED: Readonly<Record<string, string>> = {
  "a message": pub("somewhere"),
  "a message that its own connection receives": pub("own"),
  "a message with headers": "HPUB somewhere 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n",
  "a request": "PUB somewhere _INBOX.one 1\r\nx\r\n",
  "the answer to a request": pub("_INBOX.two"),
  "an acknowledgement": pub("$JS.ACK.S.C.1.1.1.1.1"),
  "a JetStream request": "PUB $JS.API.INFO _INBOX.three 0\r\n\r\n",
  "a denied message": pub("secret"),
};
const NOT_COUNTED: Readonly<Record<string, string>> = {
  "PING and PONG": "PING\r\nPONG\r\n",
  "a subscription and its end": "SUB elsewhere 9\r\nUNSUB 9\r\n",
};

/** Each frame is sent alone. The second round trip begins after the first, so the buffer of the frame is counted before its end. */
async function checkFrames(version: string, notes: Notes): Promise<void> {
  await withServer(version, notes, {}, async ({ hold, asker }) => {
    const { holder, subject } = await hold("denied");
    holder.write("SUB own 1\r\n");
    let expected = 0;
    for (const [rise, frames] of [
      [1, COUNTED],
      [0, NOT_COUNTED],
    ] as const) {
      for (const [what, frame] of Object.entries(frames)) {
        for (const times of [1, 3]) {
          holder.write(frame.repeat(times));
          await holder.roundTrip();
          await holder.roundTrip();
          expected += rise * times;
          const found = await asker.inMsgs(subject);
          notes.expect(found === expected, `${times} times ${what}: the count is ${found}, not ${expected}`);
          notes.saw(`${what} ${rise === 1 ? "counts" : "does not count"}`);
        }
      }
    }
  });
}

async function checkDeliveries(version: string, notes: Notes): Promise<void> {
  await withServer(version, notes, {}, async ({ hold, client, asker }) => {
    const { holder, subject } = await hold();
    holder.write("SUB own 1\r\n");
    await holder.roundTrip();
    const other = await client();
    other.write(pub("own", "x", 50));
    await holder.until("own", 50);
    await holder.roundTrip();
    await holder.roundTrip();
    notes.expect((await asker.inMsgs(subject)) === 0, "what a connection receives raises its count");
    notes.saw("received messages do not count");
  });
}

const FEED_SUBSCRIBERS = 10;
const FEED_SUBSCRIPTIONS = 300;
const FEED = 1000;
const LAG_ROUNDS = 3;

/** Fills the subject `feed` with subscriptions, so that a message to it takes the server some time. */
export async function fillFeed({ client }: ConnzWorld): Promise<void> {
  for (let made = 0; made < FEED_SUBSCRIBERS; made += 1) {
    const subscriber = await client();
    for (let sid = 1; sid <= FEED_SUBSCRIPTIONS; sid += 1) subscriber.write(`SUB feed ${sid}\r\n`);
    await subscriber.roundTrip();
    subscriber.ignore();
  }
}

export function feed(times: number): string {
  return pub("feed", "x".repeat(16), times);
}

/** A server's read buffer begins with 512 bytes and doubles while it is filled, up to 64 KiB. Resolves with the messages sent. */
export async function warmUp(holder: RawClient): Promise<number> {
  const bursts = 20;
  for (let burst = 0; burst < bursts; burst += 1) {
    holder.write(pub("unheard", "x".repeat(30_000), 3));
    await holder.roundTrip();
  }
  await holder.roundTrip();
  return bursts * 3;
}

/** One write: a beat, then many messages that take the server long. Beats are heard by their own connection. */
async function checkLag(version: string, notes: Notes): Promise<void> {
  await withServer(version, notes, { config: `${TWO_ACCOUNTS}\nmax_pending: 1GB` }, async (world) => {
    const { asker } = world;
    const { holder, subject } = await world.hold();
    await fillFeed(world);
    holder.write("SUB beat 1\r\n");
    let base = await warmUp(holder);
    for (let round = 0; round < LAG_ROUNDS; round += 1) {
      const heard = holder.count("beat");
      holder.write(pub("beat") + feed(FEED));
      await holder.until("beat", heard + 1);
      const early = await asker.inMsgs(subject);
      notes.saw(early === base ? "the echo was earlier than the count" : "the count had risen");
      holder.write(pub("beat"));
      await holder.until("beat", heard + 2);
      const late = await asker.inMsgs(subject);
      notes.expect(
        late > base,
        "a beat was not counted, although one that was sent after its echo came back",
      );
      notes.saw("an echo proves the beat before it");
      base += FEED + 2;
      await waitFor(async () => (await asker.inMsgs(subject)) >= base, { message: "the count to rise" });
    }
  });
}

export const COUNTING: readonly ConnzFact[] = [
  {
    name: "in_msgs counts each message that the connection sends, and nothing else",
    fake: "Every publish of a connection raises its count by one: requests, acknowledgements, answers, denied ones. Pings and subscriptions do not.",
    must: () => [
      ...Object.keys(COUNTED).map((what) => `${what} counts`),
      ...Object.keys(NOT_COUNTED).map((what) => `${what} does not count`),
    ],
    check: checkFrames,
  },
  {
    name: "in_msgs does not count what the connection receives",
    fake: "Deliveries and echoes leave the count as it is.",
    must: () => ["received messages do not count"],
    check: checkDeliveries,
  },
  {
    name: "in_msgs rises at the end of a read buffer",
    fake: "The count may lag an echo by any time. When the echo of a beat comes back that was sent after the echo of another, the other is counted.",
    // 2.9.10 mostly sends the echo when it has processed the buffer.
    must: (version) => [
      "an echo proves the beat before it",
      ...(isOldest(version) ? [] : ["the echo was earlier than the count"]),
    ],
    check: checkLag,
  },
];
