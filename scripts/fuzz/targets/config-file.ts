/** A configuration file and environment variables, as `nats-leader config check` reads them. */
import fc from "fast-check";
import { loadLayer } from "../../../src/config/file/load.ts";
import { layerOf } from "../../../src/config/file/read.ts";
import { SETTINGS } from "../../../src/config/file/settings.ts";
import { ClusterError } from "../../../src/errors.ts";
import { type FuzzTarget, fill } from "../target.ts";

interface Configured {
  readonly text: string;
  readonly env: Readonly<Record<string, string>>;
}

const name = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(...SETTINGS.flatMap(({ path }) => [path, path.split(".").at(-1) ?? path])),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "$schema",
      "nats",
      "tls",
      "vip",
      "election",
      "service",
      "history",
      "url",
      "cluster_urls",
      "nodes",
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom("__proto__", "constructor", "prototype", "toString", "polluted", ""),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 90 }) },
);
const value = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom("auto", "presence", "go-cluster", "10.0.0.1", "::1", "", "a", "1.0.0"),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom("nats://me:pw@host:4222", "host:1", "tls://[::1]", "a:b:c@", "://@"),
  },
  {
    weight: 3,
    arbitrary: fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double(), fc.boolean(), fc.constant(null)),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.array(fc.string({ unit: "binary" }), { maxLength: 3 }) },
);
/** JSON texts, not values: `__proto__` of a value would be its prototype. */
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 2, arbitrary: value.map((one) => JSON.stringify(one)) },
    {
      weight: 3,
      arbitrary: fc
        .array(fc.tuple(name, tie("json")), { maxLength: 6 })
        .map((members) => `{${members.map(([key, one]) => `${JSON.stringify(key)}:${one}`).join()}}`),
    },
  ),
}));
const valid = '"clusterId":"billing","nodeId":"a","nats":{"servers":["nats://n1:4222"]}';
const text = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(name, json).map(([key, one]) => `{${valid},${JSON.stringify(key)}:${one}}`),
  },
  { weight: 3, arbitrary: json },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
);
const variable = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...SETTINGS.flatMap(({ variable: own, shared = [] }) => [own, ...shared]),
      "HOSTNAME",
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 90 }).map((rest) => `NATS_LEADER_${rest}`) },
);
const environment = fc.dictionary(
  variable,
  value.map((one) => String(one)),
  { maxKeys: 3 },
);

const PATH = "cluster.json";

export const target: FuzzTarget<Configured> = {
  name: "configuration file",
  inputs: fc.record({ text, env: environment }),
  show: (configured) => {
    const lines = shown(configured);
    if (Object.keys(Object.prototype).length > 0 || "polluted" in {})
      throw new Error("polluted Object.prototype");
    return lines;
  },
  grown: (piece, size) => {
    const long = fill(piece, size);
    const names = Array.from(
      { length: Math.ceil(size / 256) },
      (_, index) => `${JSON.stringify(`${piece}${index}`)}:1`,
    );
    const parts = [`"user":${JSON.stringify(long)}`, `"servers":[${JSON.stringify(long)}]`, names.join()];
    return {
      text: `{"clusterId":${JSON.stringify(long)},"nats":{${parts.join()}}}`,
      env: { NATS_URL: long },
    };
  },
  pieces: ["a:b@", "://", '{"a":', "nats://a:b@c,", "1.0.0-1", "a.", "eyJ-", "-----BEGIN "],
};

function shown({ text: content, env }: Configured): readonly string[] {
  try {
    return loadLayer(layerOf(PATH, content), { path: PATH, env, requireFiles: "all" }).notes;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== "INVALID_CONFIG") throw error;
    return error.message.split("\n");
  }
}
