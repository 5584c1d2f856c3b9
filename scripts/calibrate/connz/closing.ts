/** How a closed connection appears. */
import { waitFor } from "../../shared/wait.ts";
import { feed, fillFeed, warmUp } from "./counting.ts";
import {
  type Asker,
  type ConnzFact,
  isOldest,
  type Notes,
  type Subject,
  TWO_ACCOUNTS,
  withServer,
} from "./fact.ts";
import { pub } from "./raw-client.ts";

const ROUNDS = 10;
const ENDS = { FIN: "end", RST: "reset" } as const;

/** Asks for both lists in turn until the closed one has the connection. */
async function followEnd(asker: Asker, subject: Subject, notes: Notes): Promise<void> {
  let absentAtMs: number | null = null;
  for (;;) {
    const open = await asker.open(subject);
    if (open.kind === "absent") absentAtMs ??= performance.now();
    else
      notes.expect(
        open.kind === "open" && absentAtMs === null,
        `after its absence it is listed as ${open.kind}`,
      );
    const closed = await asker.closed(subject);
    if (closed.kind === "closed") break;
    notes.expect(closed.kind === "absent", `the list of closed connections shows it as ${closed.kind}`);
    notes.saw(absentAtMs === null ? "open, and not closed" : "absent from both lists");
  }
  const lateMs = absentAtMs === null ? 0 : performance.now() - absentAtMs;
  notes.saw(`listed as closed ${lateMs <= 3 ? "within 3 ms" : "later than 3 ms"} after its absence`);
  for (let time = 0; time < 3; time += 1) {
    // A server that is still processing what it has read may list the connection in both.
    if ((await asker.open(subject)).kind === "open") notes.saw("listed as closed and as open");
    notes.expect((await asker.closed(subject)).kind === "closed", "a closed connection is no longer listed");
  }
}

async function lastCount(asker: Asker, { clientId }: Subject): Promise<unknown> {
  const [entry] = await asker.entries({ cid: clientId, state: 1 });
  return entry?.["in_msgs"];
}

async function checkNamed(version: string, notes: Notes): Promise<void> {
  await withServer(version, notes, {}, async ({ hold, asker }) => {
    for (const [how, end] of Object.entries(ENDS)) {
      for (let round = 0; round < ROUNDS; round += 1) {
        const { holder, subject } = await hold();
        notes.expect(
          (await asker.closed(subject)).kind === "absent",
          "an open connection is listed as closed",
        );
        holder.write(pub("somewhere", "x", 7));
        await holder.roundTrip();
        await holder.roundTrip();
        holder[end]();
        await followEnd(asker, subject, notes);
        notes.expect((await lastCount(asker, subject)) === 7, `after ${how} the entry lacks the last count`);
        notes.saw(`after ${how} it is listed as closed, with its last count`);
      }
    }
  });
}

async function checkGlobal(version: string, notes: Notes): Promise<void> {
  await withServer(version, notes, { global: true }, async ({ hold, asker }) => {
    for (const end of Object.values(ENDS)) {
      for (let round = 0; round < ROUNDS; round += 1) {
        const { holder, subject } = await hold();
        notes.expect((await asker.open(subject)).kind === "open", "an open connection of $G is not listed");
        holder[end]();
        await waitFor(async () => (await asker.open(subject)).kind === "absent", {
          intervalMs: 1,
          message: "a closed connection of $G to be absent",
        });
        for (let time = 0; time < 10; time += 1) {
          const closed = await asker.closed(subject);
          notes.saw(`$G: a closed connection is ${closed.kind} in the closed list`);
          notes.expect(closed.kind === "absent", "a closed connection of $G is listed");
        }
      }
    }
  });
}

/** The holder does not read, and its own messages come back to it until the server drops it as a slow consumer. */
const DROPPED_ROUNDS = 3;
/**
 * What a fake must be able to do happens in some rounds only: if the question is quicker than the server's processing of the read buffer. They
 * are repeated until it was seen, so often at most, and the processing takes longer after each so many.
 */
const MOST_DROPPED_ROUNDS = 40;
const ROUNDS_OF_A_FEED = 4;
const AFTER_THE_END = [
  "a message was delivered after its connection was listed as closed",
  "listed as closed and as open",
];
const OWN_SUBSCRIPTIONS = 1000;
const OWN = 15;
const FEED = 1200;
/** What has not arrived by then counts as dropped; 2.9 drops it. */
const LOST_MS = 5000;

async function checkProcessedAfterTheEnd(version: string, notes: Notes): Promise<void> {
  const config = `${TWO_ACCOUNTS}\nmax_pending: 1MB`;
  await withServer(version, notes, { config }, async (world) => {
    const { asker } = world;
    await fillFeed(world);
    const observer = await world.client();
    observer.write("SUB tail 1\r\n");
    await observer.roundTrip();
    const isMissing = (): boolean =>
      !isOldest(version) && AFTER_THE_END.some((outcome) => notes.outcomes[outcome] === undefined);
    for (let round = 0; round < DROPPED_ROUNDS || (isMissing() && round < MOST_DROPPED_ROUNDS); round += 1) {
      if (round > 0 && round % ROUNDS_OF_A_FEED === 0) await fillFeed(world);
      const heard = observer.count("tail");
      const { holder, subject } = await world.hold();
      for (let sid = 1; sid <= OWN_SUBSCRIPTIONS; sid += 1) holder.write(`SUB own${round} ${sid}\r\n`);
      const sent = await warmUp(holder);
      holder.pause();
      holder.write(pub(`own${round}`, "x".repeat(1000), OWN) + feed(FEED) + pub("tail"));
      await waitFor(async () => (await asker.closed(subject)).kind === "closed", {
        intervalMs: 1,
        message: "a connection that does not read to be dropped",
      });
      const [open] = await Promise.all([asker.open(subject), observer.roundTrip()]);
      const before = observer.count("tail") > heard;
      if (open.kind === "open") notes.saw("listed as closed and as open");
      const first = await lastCount(asker, subject);
      if (first === sent) notes.saw("the closed entry lacks the messages of the last read buffer");
      const delivered = await observer.until("tail", heard + 1, LOST_MS).then(
        () => true,
        () => false,
      );
      const when = before ? "before" : "after";
      notes.saw(
        delivered
          ? `a message was delivered ${when} its connection was listed as closed`
          : "the rest of the read buffer was dropped",
      );
      notes.expect((await lastCount(asker, subject)) === first, "the count of a closed entry changed");
      holder.close();
    }
  });
}

const KEPT = 4;

/** 2.9 always keeps 10 000. */
async function checkForgotten(version: string, notes: Notes): Promise<void> {
  if (isOldest(version)) return;
  const config = `${TWO_ACCOUNTS}\nmax_closed_clients: ${KEPT}`;
  await withServer(version, notes, { config }, async ({ hold, asker }) => {
    const { holder, subject } = await hold();
    holder.end();
    await followEnd(asker, subject, notes);
    for (let other = 0; other < KEPT; other += 1) {
      const { holder: next, subject: ended } = await hold("b");
      next.end();
      await waitFor(async () => (await asker.open(ended)).kind !== "open", { intervalMs: 1 });
    }
    await waitFor(async () => (await asker.closed(subject)).kind === "absent", {
      message: "the oldest closed connection to be forgotten",
    });
    notes.saw("a closed connection was forgotten");
  });
}

export const CLOSING: readonly ConnzFact[] = [
  {
    name: "in a named account a closed connection is listed, with the time of its end and its last count",
    fake: "After the end: absent from both lists for some milliseconds, then listed as closed. Never closed while open.",
    must: () => Object.keys(ENDS).map((how) => `after ${how} it is listed as closed, with its last count`),
    check: checkNamed,
  },
  {
    name: "in $G a closed connection is never listed",
    fake: "In $G only absence from the open list.",
    must: () => ["$G: a closed connection is absent in the closed list"],
    check: checkGlobal,
  },
  {
    name: "a connection that its server drops may be listed as closed while its last read buffer is being processed",
    fake: "Messages of a connection may be delivered, and writes applied, after its server has listed it as closed. Its entry may lack them for good.",
    must: (version) => (isOldest(version) ? [] : AFTER_THE_END),
    check: checkProcessedAfterTheEnd,
  },
  {
    name: "a server forgets closed connections",
    fake: "A connection that was listed as closed may be absent from both lists later: after 10 000 other ends on its server.",
    must: (version) => (isOldest(version) ? [] : ["a closed connection was forgotten"]),
    check: checkForgotten,
  },
];
