/** The board and its event stream: what a viewer gets, how it comes back, and what a slow one costs. */
import { expect, test } from "vitest";
import type { Update } from "../../src/ui/model/types.ts";
import { Board } from "../../src/ui/server/board.ts";
import { eventStream } from "../../src/ui/server/event-stream.ts";

interface Read extends Update {
  readonly id: string;
}

function viewer(board: Board, options: { topic?: string; lastEventId?: string; keepAliveMs?: number } = {}) {
  const ending = new AbortController();
  let ended = 0;
  const stream = eventStream({
    board,
    topic: options.topic ?? null,
    lastEventId: options.lastEventId ?? null,
    keepAliveMs: options.keepAliveMs ?? 60_000,
    signal: ending.signal,
    onEnd: () => {
      ended += 1;
    },
  });
  const reader = stream.getReader();
  const next = async (): Promise<Read | null> => {
    const { value, done } = await reader.read();
    if (done) return null;
    const [, id = "", data = ""] = /^id: (.*)\ndata: (.*)\n\n$/.exec(new TextDecoder().decode(value)) ?? [];
    return { id, ...(JSON.parse(data) as Update) };
  };
  return { next, reader, ending, ended: () => ended };
}

test("a viewer gets everything, then only what has changed", async () => {
  const board = new Board();
  board.set("a", 1);
  board.set("b", { text: "line\nbreak" });
  const { next, ending } = viewer(board);
  expect(await next()).toMatchObject({ full: true, set: { a: 1, b: { text: "line\nbreak" } }, gone: [] });
  const waiting = next();
  board.set("a", 1); // no change
  board.set("a", 2);
  expect(await waiting).toMatchObject({ full: false, set: { a: 2 }, gone: [] });
  board.delete("b");
  expect(await next()).toMatchObject({ full: false, set: {}, gone: ["b"] });
  ending.abort();
});

test("a slow viewer gets the newest value of each key once, however many changes it missed", async () => {
  const board = new Board();
  const { next, ending } = viewer(board);
  await next();
  for (let index = 0; index < 10_000; index++) board.set("key", index);
  board.set("other", "x");
  expect(await next()).toMatchObject({ full: false, set: { key: 9_999, other: "x" } });
  ending.abort();
});

test("a viewer that comes back gets what it missed, and of another run everything", async () => {
  const board = new Board();
  board.set("a", 1);
  const first = viewer(board);
  const id = (await first.next())?.id ?? "";
  await first.reader.cancel();
  expect(first.ended()).toBe(1);
  board.set("b", 2);
  const back = viewer(board, { lastEventId: id });
  expect(await back.next()).toMatchObject({ full: false, set: { b: 2 } });
  for (const lastEventId of [`0000.${board.last}`, `${board.run}.${board.last + 5}`, "x", `${board.run}.`]) {
    const other = viewer(board, { lastEventId });
    expect(await other.next()).toMatchObject({ full: true, set: { a: 1, b: 2 } });
    other.ending.abort();
  }
  back.ending.abort();
});

test("a viewer that missed more deletions than are remembered gets everything", async () => {
  const board = new Board();
  board.set("kept", 1);
  const seen = board.last;
  for (let index = 0; index < 1_001; index++) {
    board.set(`gone ${index}`, index);
    board.delete(`gone ${index}`);
  }
  expect(board.since(seen, null)).toMatchObject({ full: true, set: [["kept", "1"]] });
  expect(board.since(board.last - 10, null).full).toBe(false);
});

test("details go to the viewers of their topic only", async () => {
  const board = new Board();
  board.set("cluster/a", "card");
  board.set("cluster/a/past", "details", "cluster/a");
  const all = viewer(board);
  const one = viewer(board, { topic: "cluster/a" });
  expect((await all.next())?.set).toEqual({ "cluster/a": "card" });
  expect((await one.next())?.set).toEqual({ "cluster/a": "card", "cluster/a/past": "details" });
  const waiting = all.next();
  board.set("cluster/a/past", "more", "cluster/a");
  board.set("x", 1);
  expect((await one.next())?.set).toMatchObject({ "cluster/a/past": "more" });
  expect((await waiting)?.set).toEqual({ x: 1 });
  all.ending.abort();
  one.ending.abort();
});

test("without a change an event says that the server is there; the stream ends with the server", async () => {
  const board = new Board();
  const { next, ending, ended } = viewer(board, { keepAliveMs: 20 });
  await next();
  expect(await next()).toMatchObject({ full: false, set: {}, gone: [] });
  const last = next();
  ending.abort();
  expect(await last).toBeNull();
  expect(ended()).toBe(1);
});

test("a character that hides or reorders text is shown as an escape, in every text; other text stays", async () => {
  const board = new Board();
  const plain = { text: 'a "quoted" \\ path\nsecond line, ü漢😀', count: 1, none: null };
  board.set("plain", plain);
  board.set("account", { server: "srv\u202eevil\u200bx", problem: "bell \u0007, line \u2028" });
  board.set("doctor", { findings: [{ where: ["tag \u{e0041}"], what: "half \ud800" }] });
  const { next, ending } = viewer(board);
  expect((await next())?.set).toEqual({
    plain,
    account: { server: "srv\\u202eevil\\u200bx", problem: "bell \\u0007, line \\u2028" },
    doctor: { findings: [{ where: ["tag \\udb40\\udc41"], what: "half \\ud800" }] },
  });
  ending.abort();
});
