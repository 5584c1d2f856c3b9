import { expect, test } from "vitest";
import { StreamIdentity } from "../../src/nats/bucket/stream-identity.ts";

test("a message of an unknown stream counts until a read that began after it shows another stream", () => {
  const identity = new StreamIdentity();
  identity.reading()("own");
  const earlier = identity.reading();
  expect(identity.of("other")).toBe("unknown");
  earlier("own");
  expect(identity.of("other")).toBe("unknown");
  identity.reading()("own");
  expect(identity.of("other")).toBe("foreign");
  expect([identity.of("own"), identity.of("")]).toEqual(["own", "own"]);
});

test("a stream that replaces the own one is never foreign", () => {
  const identity = new StreamIdentity();
  identity.reading()("old");
  expect(identity.of("new")).toBe("unknown");
  identity.reading()("new");
  expect([identity.own, identity.of("new"), identity.of("old")]).toEqual(["new", "own", "unknown"]);
  // A read of the old stream that is answered late marks the new one, until the next read.
  const late = identity.reading();
  expect(identity.of("newest")).toBe("unknown");
  const between = identity.reading();
  late("new");
  between("new");
  expect(identity.of("newest")).toBe("foreign");
  identity.reading()("newest");
  expect(identity.of("newest")).toBe("own");
});

test("what is remembered of other streams is bounded", () => {
  const identity = new StreamIdentity();
  identity.reading()("own");
  for (let round = 0; round < 40; round++) {
    for (let other = 0; other < 100; other++) identity.of(`${round}.${other}`);
    identity.reading()("own");
  }
  const all = Array.from({ length: 4_000 }, (_, index) => `${Math.floor(index / 100)}.${index % 100}`);
  expect(all.filter((created) => identity.of(created) === "foreign").length).toBeLessThanOrEqual(64);
});
