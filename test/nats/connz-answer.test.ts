import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AskedConnection,
  ConnzState,
  connzQuestion,
  decodeConnzAnswer,
  tagOf,
} from "../../src/nats/presence/connz-answer.ts";

const SERVER_ID = "ND5OXLFG4B2Z46R4GKGBTPVOPEQHRYOCKN3DN7PBM7ID2VKPHFQVZPRJ";
const ASKED: AskedConnection = { serverId: SERVER_ID, clientId: 8, accountTag: tagOf("A") };
const ASKED_GLOBAL: AskedConnection = { ...ASKED, accountTag: tagOf("$G") };
const STOP = "2026-11-29T19:31:17.998607329Z";

/** As nats-server 2.15.1 and 2.9.10 write it; the fields that they have in common. */
const OPEN = {
  cid: 8,
  kind: "Client",
  type: "nats",
  ip: "127.0.0.1",
  port: 56972,
  start: "2026-11-29T19:31:17.769965133Z",
  last_activity: "2026-11-29T19:31:17.801965034Z",
  rtt: "17.045655ms",
  uptime: "0s",
  idle: "0s",
  pending_bytes: 0,
  in_msgs: 17,
  out_msgs: 0,
  in_bytes: 1,
  out_bytes: 0,
  subscriptions: 0,
  lang: "nats.js",
  version: "3.4.0",
  authorized_user: "a",
  account: "A",
};
const CLOSED = { ...OPEN, stop: STOP, reason: "Client Closed" };
const { account: _, ...OPEN_GLOBAL } = OPEN;

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function answer(connections: unknown, change: { readonly server?: unknown; readonly data?: object } = {}) {
  const server = { name: "n1", host: "127.0.0.1", id: SERVER_ID, ver: "2.15.1", jetstream: true };
  const data = { server_id: SERVER_ID, num_connections: 1, total: 2, offset: 0, limit: 1, connections };
  return { server: "server" in change ? change.server : server, data: { ...data, ...change.data } };
}

const decoded = (connections: unknown, asked = ASKED) =>
  decodeConnzAnswer(encode(answer(connections)), asked).kind;

describe("what the asked server says about the connection", () => {
  test("an entry without the time of its end is open, with its count", () => {
    expect(decodeConnzAnswer(encode(answer([OPEN])), ASKED)).toEqual({ kind: "open", inMsgs: 17 });
  });

  test("an entry with the time of its end is closed", () => {
    expect(decodeConnzAnswer(encode(answer([CLOSED])), ASKED)).toEqual({ kind: "closed" });
  });

  test("an empty list is absence, which is not closed", () => {
    expect(decodeConnzAnswer(encode(answer([])), ASKED)).toEqual({ kind: "absent" });
  });

  test("without the name of an account it is a connection of $G, and of no other", () => {
    expect(decoded([OPEN_GLOBAL], ASKED_GLOBAL)).toBe("open");
    expect(decoded([{ ...OPEN_GLOBAL, account: "$G" }], ASKED_GLOBAL)).toBe("open");
    expect(decoded([OPEN_GLOBAL])).toBe("foreign");
  });
});

describe("says nothing", () => {
  test("another server, whatever it lists", () => {
    const server = { id: "NOTHER" };
    for (const connections of [[], [OPEN], [CLOSED], "x"])
      expect(decodeConnzAnswer(encode(answer(connections, { server })), ASKED).kind).toBe("foreign");
  });

  test.each([
    ["open", OPEN],
    ["closed", CLOSED],
  ])("a connection of another account, %s", (_state, entry) => {
    expect(decoded([{ ...entry, account: "B" }])).toBe("foreign");
    expect(decoded([entry], ASKED_GLOBAL)).toBe("foreign");
  });

  test.each([
    ["no JSON", new TextEncoder().encode("x")],
    ["nothing", new Uint8Array()],
    ["no object", encode([1])],
    ["an error of the server", encode({ server: { id: SERVER_ID }, error: { code: 404 } })],
    ["no server", encode(answer([OPEN], { server: undefined }))],
    ["a server without an id", encode(answer([OPEN], { server: {} }))],
    ["two servers", encode(answer([OPEN], { data: { server_id: "NOTHER" } }))],
    ["no list", encode(answer(undefined))],
    ["a list that is an object", encode(answer({ 0: OPEN, length: 1 }))],
    ["an entry that is no object", encode(answer([8]))],
    ["an entry without an id", encode(answer([{ ...OPEN, cid: undefined }]))],
    ["the entry of another connection", encode(answer([{ ...OPEN, cid: 9 }]))],
    ["an id that is no number", encode(answer([{ ...OPEN, cid: "8" }]))],
    ["two entries", encode(answer([OPEN, CLOSED]))],
    [
      "a longer list, which may be cut off",
      encode(
        answer([
          { ...OPEN, cid: 7 },
          { ...OPEN, cid: 9 },
        ]),
      ),
    ],
    ["an account that is no string", encode(answer([{ ...OPEN, account: 1 }]))],
  ])("%s", (_what, bytes) => {
    expect(decodeConnzAnswer(bytes, ASKED)).toEqual({ kind: "malformed" });
  });

  test.each([undefined, null, "17", -1, 0.5, 2 ** 53, 1e300, [17]])("the count %j", (inMsgs) => {
    expect(decoded([{ ...OPEN, in_msgs: inMsgs }])).toBe("malformed");
  });

  test.each([null, "", "x", 0, 1, false, {}, "2026-11-29", `${STOP}\n`, STOP.repeat(2)])(
    "the time of the end %j: neither closed nor open",
    (stop) => {
      expect(decoded([{ ...OPEN, stop }])).toBe("malformed");
    },
  );

  test("an answer above 64 KiB, however valid", () => {
    const padded = (size: number) => encode(answer([{ ...CLOSED, jwt: "x".repeat(size) }]));
    expect(decodeConnzAnswer(padded(60_000), ASKED).kind).toBe("closed");
    expect(decodeConnzAnswer(padded(65_536), ASKED).kind).toBe("malformed");
  });
});

test("counts stay distinct up to the largest safe integer", () => {
  for (const inMsgs of [0, 1, 2 ** 53 - 2, 2 ** 53 - 1])
    expect(decodeConnzAnswer(encode(answer([{ ...OPEN, in_msgs: inMsgs }])), ASKED)).toEqual({
      kind: "open",
      inMsgs,
    });
});

test("one changed field never turns an open connection into a closed or absent one", () => {
  const fields = fc.constantFrom(...Object.keys(OPEN), "stop", "reason");
  fc.assert(
    fc.property(fields, fc.jsonValue(), (field, value) => {
      expect(["open", "foreign", "malformed"]).toContain(decoded([{ ...OPEN, [field]: value }]));
    }),
  );
});

test("any bytes are decoded, and nothing throws", () => {
  const bytes = fc.oneof(fc.uint8Array(), fc.jsonValue().map(encode), fc.jsonValue().map(answer).map(encode));
  fc.assert(
    fc.property(bytes, (input) => {
      expect(["absent", "foreign", "malformed"]).toContain(decodeConnzAnswer(input, ASKED).kind);
    }),
  );
});

test("the question is about one connection in one state, and asks for the account", () => {
  const question = (state: 0 | 1) => JSON.parse(new TextDecoder().decode(connzQuestion(8, state)));
  expect(question(ConnzState.open)).toEqual({ cid: 8, state: 0, auth: true });
  expect(question(ConnzState.closed)).toEqual({ cid: 8, state: 1, auth: true });
});
