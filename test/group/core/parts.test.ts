/** Queues, hashes and the window of claims. */
import { expect, test } from "vitest";
import { hash32, ListHash, listHash, rendezvousRank } from "../../../src/group/core/hash.ts";
import { hasRoom, noteAnswered } from "../../../src/group/core/pace.ts";
import {
  addDue,
  dequeue,
  dueQueue,
  enqueue,
  fifo,
  takeDue,
  takeFirst,
} from "../../../src/group/core/queues.ts";
import { Solo } from "./play/solo.ts";

test("queues", () => {
  const queue = fifo<number>();
  for (let item = 0; item < 3_000; item += 1) enqueue(queue, item);
  enqueue(queue, 0);
  dequeue(queue, 1);
  const taken: (number | undefined)[] = [];
  for (let at = 0; at < 2_999; at += 1) taken.push(takeFirst(queue));
  expect(taken.slice(0, 3)).toEqual([0, 2, 3]);
  expect(takeFirst(queue)).toBeUndefined();
  const due = dueQueue<string>();
  for (const at of [5, 1, 4, 2, 3, 0]) addDue(due, at, `at ${at}`);
  const order = Array.from({ length: 7 }, () => takeDue(due, 4));
  expect(order).toEqual(["at 0", "at 1", "at 2", "at 3", "at 4", undefined, undefined]);
});

test("hashes", () => {
  expect(listHash(["a", "b"])).toBe(listHash(["b", "a"]));
  expect(listHash(["a", "b"])).not.toBe(listHash(["a", "c"]));
  const changing = new ListHash();
  for (const name of ["c", "a", "b"]) changing.add(name);
  changing.delete("c");
  expect(changing.text).toBe(listHash(["a", "b"]));
  for (const name of ["a", "b"]) changing.delete(name);
  expect(changing.text).toBe(listHash([]));
  expect(hash32("a")).not.toBe(hash32("a", 1));
  const members = ["a", "b", "c"];
  expect(members.map((member) => rendezvousRank("r", member, members)).sort()).toEqual([0, 1, 2]);
});

test("to a server that is far away the window grows while answers are fast, and falls back when they are not", () => {
  const a = new Solo(["r"]);
  const { pace } = a.state;
  for (let answers = 0; answers < 5_000; answers += 1) noteAnswered(a.state, 20, true);
  expect(pace.window).toBe(64);
  for (let answers = 0; answers < 20; answers += 1) noteAnswered(a.state, 100, true);
  expect(pace.window).toBe(16);
  noteAnswered(a.state, 1, false);
  expect(pace.window).toBe(16);
});

test.each([
  [0.5, 16],
  [2, 16],
  [4, 32],
  [8, 64],
  [100, 64],
])("answers after %d ms need %d claims in flight", (afterMs, inFlight) => {
  const a = new Solo(["r"]);
  const { pace } = a.state;
  for (let answers = 0; answers < 5_000; answers += 1) noteAnswered(a.state, afterMs, true);
  pace.inFlight = inFlight - 1;
  expect(hasRoom(a.state)).toBe(true);
  pace.inFlight = inFlight;
  expect(hasRoom(a.state)).toBe(false);
});
