/** A request with any number of answers: when all count as having come. */
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { expect, test } from "vitest";
import { answersTo } from "../../src/nats/api/request-many.ts";
import { atEnd } from "../support/at-end.ts";
import { link } from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const STALL_MS = 100;

/** A subscriber to `subject` that answers what it was asked when it is called. Its answer is in the kernel when the call returns. */
async function answerer(subject: string): Promise<(body: string) => Promise<void>> {
  const socket = connectSocket(server.port, server.host);
  atEnd(() => void socket.destroy());
  await once(socket, "connect");
  let read = "";
  const arrived = new Map<RegExp, () => void>();
  socket.on("data", (data) => {
    read += String(data);
    for (const [pattern, resolve] of arrived) if (pattern.test(read)) resolve();
  });
  const reading = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      if (pattern.test(read)) resolve();
      else arrived.set(pattern, resolve);
    });
  socket.write(`CONNECT {"verbose":false}\r\nSUB ${subject} 1\r\nPING\r\n`);
  await reading(/PONG/);
  return async (body) => {
    const asked = /MSG \S+ 1 (\S+) /;
    await reading(asked);
    socket.write(`PUB ${asked.exec(read)?.[1]} ${body.length}\r\n${body}\r\n`);
  };
}

const standStill = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

test("an answer that came while this process stood still is not missing", async () => {
  const { connection } = await link(server);
  const [first, second] = [await answerer("both"), await answerer("both")];
  const limits = { timeoutMs: 60_000, stallMs: STALL_MS };
  const answers = answersTo(connection, "both", "", limits)[Symbol.asyncIterator]();
  const one = answers.next();
  await first("1");
  expect(String((await one).value)).toBe("1");
  const two = answers.next();
  await second("2");
  standStill(3 * STALL_MS);
  expect(String((await two).value)).toBe("2");
  expect(await answers.next()).toMatchObject({ done: true });
});

test("a second answer is waited for while it is expected, and then none that does not come in the given time", async () => {
  const { connection } = await link(server);
  const answer = await answerer("one");
  const stallMs = (count: number): number => (count < 2 ? Number.POSITIVE_INFINITY : STALL_MS);
  const asked = answersTo(connection, "one", "", { timeoutMs: 60_000, stallMs });
  const answers = asked[Symbol.asyncIterator]();
  const [one] = await Promise.all([answers.next(), answer("1")]);
  expect(String(one.value)).toBe("1");
  const next = answers.next();
  standStill(3 * STALL_MS);
  const [two] = await Promise.all([next, answer("2")]);
  expect(String(two.value)).toBe("2");
  expect(await answers.next()).toMatchObject({ done: true });
});
