/** A server's answer about one connection. */
import fc from "fast-check";
import { type AskedConnection, decodeConnzAnswer, tagOf } from "../../../src/nats/presence/connz-answer.ts";
import { type FuzzTarget, fill } from "../target.ts";

const ASKED: AskedConnection = { serverId: "NSERVER", clientId: 8, accountTag: tagOf("A") };
const STOP = "2026-11-29T19:31:17.998607329Z";

const often = <T>(usual: T) => fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, fc.jsonValue());
const count = fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double(), fc.constant(2 ** 53));
const entry = fc.record(
  { cid: often(8), in_msgs: fc.oneof(count, fc.jsonValue()), account: often("A"), stop: often(STOP) },
  { requiredKeys: ["cid"] },
);
const connections = fc.oneof(
  { weight: 8, arbitrary: fc.array(entry, { maxLength: 2 }) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const answer = fc.record(
  {
    server: fc.oneof(fc.record({ id: often("NSERVER") }), fc.jsonValue()),
    data: fc.oneof(
      { weight: 8, arbitrary: fc.record({ server_id: often("NSERVER"), connections }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    error: fc.jsonValue(),
  },
  { requiredKeys: ["server"] },
);
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export const target: FuzzTarget<Uint8Array> = {
  name: "connz answer",
  inputs: fc.oneof(
    { weight: 8, arbitrary: answer.map(encode) },
    { weight: 1, arbitrary: fc.jsonValue().map(encode) },
    { weight: 1, arbitrary: fc.uint8Array() },
  ),
  show: (bytes) => {
    const decoded = decodeConnzAnswer(bytes, ASKED);
    if (decoded.kind !== "open") return [decoded.kind];
    const { inMsgs } = decoded;
    if (!Number.isSafeInteger(inMsgs) || inMsgs < 0) throw new Error(`the count ${inMsgs} is accepted`);
    return [`open ${inMsgs}`];
  },
  grown: (piece, size) => {
    const { serverId, clientId } = ASKED;
    const one = { cid: clientId, in_msgs: 1, account: "A", stop: fill(piece, size) };
    return encode({ server: { id: serverId }, data: { server_id: serverId, connections: [one] } });
  },
};
