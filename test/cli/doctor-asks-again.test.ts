/** The servers of a cluster that has just started: a question may reach some of them only. */
import { expect, test } from "vitest";
import { ClockBook } from "../../src/doctor/clocks/clock-book.ts";
import { askServers } from "../../src/doctor/sources/ask-servers.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { atEnd } from "../support/at-end.ts";
import { connection } from "../support/fencing/terms-and-servers.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** Answers like a server, to the n-th question and all after it. Resolves with the number of questions. */
async function answerer(name: string, from: number): Promise<() => number> {
  const nats = await connection(server);
  let asked = 0;
  nats.subscribe("PING", {
    callback: (_, message) => {
      asked += 1;
      if (asked >= from)
        message.respond(JSON.stringify({ server: { name, time: new Date().toISOString() } }));
    },
  });
  await nats.flush();
  return () => asked;
}

test("a server that the first question did not reach is asked again; one that has answered counts once", async () => {
  const asked = await answerer("early", 1);
  await answerer("late", 2);
  const monitor = ConnectionMonitor.acquire(await connection(server));
  atEnd(() => monitor.release());
  const found = await askServers(monitor, new ClockBook(), {
    subject: "PING",
    timeoutMs: 20_000,
    patient: ({ length }) => length < 2,
  });
  expect(found.map(({ name }) => name)).toEqual(["early", "late"]);
  expect(asked()).toBe(2);
});

test("without a reason to expect more, a question is asked once", async () => {
  const asked = await answerer("early", 1);
  const monitor = ConnectionMonitor.acquire(await connection(server));
  atEnd(() => monitor.release());
  const found = await askServers(monitor, new ClockBook(), { subject: "PING", timeoutMs: 20_000 });
  expect(found.map(({ name }) => name)).toEqual(["early"]);
  expect(asked()).toBe(1);
});
