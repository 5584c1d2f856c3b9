/** Options of a node, which an application may take from anywhere: the errors that refuse them. */
import fc from "fast-check";
import { OPTIONS } from "../../../src/config/accepted.ts";
import { resolveOptions } from "../../../src/config/resolve.ts";
import { ClusterError } from "../../../src/errors.ts";
import { type FuzzTarget, fill } from "../target.ts";

const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Object.keys(OPTIONS)) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 100 }) },
);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.oneof(fc.nat(), fc.double(), fc.boolean(), fc.bigInt()) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 100 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("nats://a:1", "a:b@c:1", "tls://[::1]:4222", "3000", "true", "a,b"),
  },
  { weight: 1, arbitrary: fc.anything() },
);

export const target: FuzzTarget<unknown> = {
  name: "options of a node",
  inputs: fc.oneof(
    { weight: 9, arbitrary: fc.dictionary(name, value, { maxKeys: 5 }) },
    { weight: 1, arbitrary: fc.anything() },
  ),
  show: (options) => {
    try {
      resolveOptions(options as Parameters<typeof resolveOptions>[0]);
      return [];
    } catch (error) {
      if (!(error instanceof ClusterError) || error.code !== "INVALID_CONFIG") throw error;
      return error.message.split("\n");
    }
  },
  grown: (piece, size) => {
    const long = fill(piece, size);
    return {
      clusterId: long,
      servers: [long, `${long}@`],
      inboxPrefix: long,
      credsFile: long,
      creds: long,
      jwt: long,
      serviceVersion: `1.0.0-${long}`,
      domain: long,
      [long]: long,
    };
  },
  pieces: ["a:b@", "://", "a.", "1.", "0.0-", "eyJ-", "[:", "a,", "-----BEGIN "],
};
