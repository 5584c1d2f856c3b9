/** The parts of the door that depend on no request. */
import { describe, expect, test } from "vitest";
import { addressText, isLoopback, parseListenAddress } from "../../src/config/listen.ts";
import { Paced } from "../../src/http/paced.ts";
import { startHttpServer } from "../../src/http.ts";
import { openDoor } from "../support/http/door.ts";

describe("an address to listen at", () => {
  test.each([
    ["127.0.0.1:9465", "127.0.0.1", 9465],
    ["9465", "127.0.0.1", 9465],
    ["0", "127.0.0.1", 0],
    ["[::1]:9465", "::1", 9465],
    ["[::]:0", "::", 0],
    ["0.0.0.0:65535", "0.0.0.0", 65_535],
    ["localhost:80", "localhost", 80],
    ["host-1.example:80", "host-1.example", 80],
  ])("%s", (text, host, port) => expect(parseListenAddress(text)).toEqual({ host, port }));

  test.each([
    "",
    " ",
    ":9465",
    "*:9465",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.256:80",
    "1.2.3:80",
    "::1:9465",
    "[::1]",
    "[127.0.0.1]:80",
    "[::g]:80",
    "http://127.0.0.1:80",
    "a b:80",
    "127.0.0.1:80/",
    "-1",
    "123456",
    "127.0.0.1:8o",
  ])("%j is none", (text) => expect(parseListenAddress(text)).toBeNull());

  test("has one form, and says who can reach it", () => {
    expect(["127.0.0.1", "::1"].map((host) => addressText({ host, port: 80 }))).toEqual([
      "127.0.0.1:80",
      "[::1]:80",
    ]);
    expect(["127.0.0.1", "127.9.9.9", "::1", "localhost"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "::", "10.0.0.1", "127.example"].some(isLoopback)).toBe(false);
  });
});

describe("what takes long to make", () => {
  /** What is made is the number of times that it was made. Each takes the next of `costs`, in milliseconds. */
  function counter(...costs: readonly { readonly cpuMs: number; readonly waitMs?: number }[]) {
    const clock = { nowMs: 0, cpuMs: 0 };
    const paced = new Paced<number>({ nowMs: () => clock.nowMs, cpuMs: () => clock.cpuMs });
    let made = 0;
    const make = async (): Promise<number> => {
      const { cpuMs, waitMs = 0 } = costs[made] ?? { cpuMs: 0 };
      made += 1;
      const result = made;
      await Promise.resolve();
      clock.cpuMs += cpuMs;
      clock.nowMs += cpuMs + waitMs;
      return result;
    };
    return { clock, get: () => paced.get(make) };
  }

  test("is made once for all who ask while it is made, and used again for nine times as long", async () => {
    const { clock, get } = counter({ cpuMs: 10 });
    expect(await Promise.all([get(), get(), get()])).toEqual([1, 1, 1]);
    clock.nowMs = 99;
    expect(await get()).toBe(1);
    clock.nowMs = 100;
    expect(await get()).toBe(2);
  });

  test("time in which it waited, or the process was stopped, does not count", async () => {
    const { clock, get } = counter({ cpuMs: 10, waitMs: 800 });
    expect(await get()).toBe(1);
    clock.nowMs = 899;
    expect(await get()).toBe(1);
    clock.nowMs = 900;
    expect(await get()).toBe(2);
  });

  test("is not used again later than a second after its making began", async () => {
    const { clock, get } = counter({ cpuMs: 300 }, { cpuMs: 10, waitMs: 950 });
    expect(await get()).toBe(1);
    clock.nowMs = 999;
    expect(await get()).toBe(1);
    clock.nowMs = 1_000;
    expect(await get()).toBe(2);
    clock.nowMs = 1_999;
    expect(await get()).toBe(2);
    clock.nowMs = 2_000;
    expect(await get()).toBe(3);
  });

  test("is made again at once, for all who ask, if the process was stopped for more than a second", async () => {
    const { get } = counter({ cpuMs: 2, waitMs: 3_000 }, { cpuMs: 2 });
    expect(await Promise.all([get(), get()])).toEqual([2, 2]);
    expect(await get()).toBe(2);
  });

  test("is made twice at most for one request, and not kept if that takes as long", async () => {
    const { get } = counter({ cpuMs: 1, waitMs: 3_000 }, { cpuMs: 500, waitMs: 3_000 });
    expect(await get()).toBe(2);
    expect(await get()).toBe(3);
  });

  test("is tried again after a failure", async () => {
    const paced = new Paced<number>();
    const failing = (): never => {
      throw new Error("no");
    };
    await expect(paced.get(failing)).rejects.toThrow("no");
    expect(await paced.get(() => 1)).toBe(1);
  });
});

describe("a server", () => {
  test("refuses options that are not valid", async () => {
    await expect(startHttpServer({ listen: "nowhere", logger: false })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining('listen "nowhere" must be an address and a port'),
    });
    await expect(startHttpServer({ listen: "0", maxConnections: 0, logger: false })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: "maxConnections 0 must be a whole number from 1 to 10000",
    });
  });

  test("rejects with LISTEN_FAILED where it cannot listen, and closes twice", async () => {
    const first = await openDoor({});
    await expect(startHttpServer({ listen: first.address, logger: false })).rejects.toMatchObject({
      code: "LISTEN_FAILED",
      message: `the HTTP server cannot listen at ${first.address}: another process uses this port: choose another one, or port 0 for a free one`,
    });
    await Promise.all([first.close(), first.close()]);
    await (await openDoor({ listen: first.address })).close();
  });
});
