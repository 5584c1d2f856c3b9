/** Arbitrary objects as options: accepted with a valid timing, or refused with option, value and rule. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type NodeOptions, resolveOptions } from "../../src/config/resolve.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { ClusterError } from "../../src/errors.ts";
import { FAKE_SEED, linesOf, MINIMAL } from "../support/config/refused-options.ts";

const ms = (...interesting: number[]): fc.Arbitrary<unknown> =>
  fc.oneof(fc.constantFrom(...interesting), fc.integer({ min: -1, max: 20_000 }));
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    "",
    "x",
    "5",
    "true",
    0,
    -1,
    1.5,
    2 ** 53,
    Number.NaN,
    true,
    null,
    [],
    {},
    [[]],
    1n,
  ),
  fc.constantFrom<unknown>(Symbol("s"), () => 1, new Date(0), Object.create(null)),
  fc.anything(),
);

/** Values of each option that are valid alone or together with other options. */
const GOOD: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  clusterId: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
  nodeId: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
  servers: fc.constantFrom("nats://a:1", ["a", "b:2"], "tls://a", "nats://u:p@a"),
  user: fc.constant("me"),
  pass: fc.constant("x"),
  token: fc.constant("t"),
  nkeySeed: fc.constant(FAKE_SEED),
  tls: fc.constantFrom({}, { ca: "ca.pem" }, { cert: "c", key: "k" }, { cert: "c" }),
  inboxPrefix: fc.constantFrom("_INBOX_x", "a.b"),
  connectTimeoutMs: ms(100, 2_000),
  reconnectWaitMs: ms(10, 500, 4_000),
  leaseTtlMs: ms(1_000, 10_000, 3_600_000),
  heartbeatIntervalMs: ms(50, 400, 3_000, 4_999, 5_000),
  requestTimeoutMs: ms(50, 1_000, 3_125, 3_126),
  retryDelayMs: ms(10, 250, 6_000),
  successorGraceMs: ms(0, 50, 10_000),
  cooldownMs: ms(0, 10_000),
  drainTimeoutMs: ms(0, 5_000),
  crashDetection: fc.constantFrom("presence", "silence", "lease"),
  silenceMs: ms(0, 500, 2_000, 5_000, 5_001),
  observer: fc.boolean(),
  interop: fc.constant("go-cluster"),
  replicas: fc.constantFrom("auto", 1, 3, 5),
  service: fc.boolean(),
  serviceVersion: fc.constantFrom("1.2.3", "1.0.0-rc.1"),
  logger: fc.constantFrom(false, console),
  logLevel: fc.constantFrom("debug", "info"),
};
const NAMES = Object.keys(GOOD);

/** A few options, mostly with a valid value; sometimes an unknown name. */
const anyOptions = fc
  .record(
    Object.fromEntries([
      ...NAMES.map((name) => [
        name,
        fc.oneof({ weight: 30, arbitrary: GOOD[name] ?? junk }, { weight: 1, arbitrary: junk }),
      ]),
      ["leaseTTL", junk],
    ]),
    { requiredKeys: [] },
  )
  .chain((all) => {
    // A few at a time: with all options at once, one is almost always invalid.
    const values: Readonly<Record<string, unknown>> = all;
    const names = Object.keys(all);
    return fc.subarray(names, { maxLength: Math.min(7, names.length) }).map((some) => ({
      ...MINIMAL,
      ...Object.fromEntries(some.map((name) => [name, values[name]])),
    }));
  });

function resolvedOrRefused(options: unknown): ReturnType<typeof resolveOptions> | ClusterError {
  try {
    return resolveOptions(options as NodeOptions);
  } catch (error) {
    if (error instanceof ClusterError) return error;
    throw error;
  }
}

test("any options are accepted with a valid timing, or refused with a line for each problem", () => {
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(anyOptions, (options) => {
      const result = resolvedOrRefused(options);
      if (result instanceof ClusterError) {
        refused += 1;
        expect(result).toMatchObject({ code: "INVALID_CONFIG", recoverable: false });
        for (const line of linesOf(options)) expectLine(line, options);
        return;
      }
      accepted += 1;
      const { leaseTtlMs, heartbeatIntervalMs, requestTimeoutMs, retryDelayMs } = result.election;
      const span = leaseSpanMs(leaseTtlMs);
      expect(heartbeatIntervalMs).toBeLessThan(leaseTtlMs / 2);
      expect(heartbeatIntervalMs + 2 * requestTimeoutMs + retryDelayMs).toBeLessThanOrEqual(span);
      const { reconnectWaitMs = 0 } = result.nats;
      expect(heartbeatIntervalMs + 2 * reconnectWaitMs + requestTimeoutMs).toBeLessThanOrEqual(span);
      expect(result.election.successorGraceMs).toBeLessThanOrEqual(leaseTtlMs);
      expectSilence(result);
      for (const [name, value] of Object.entries(options)) expectKept(name, value, result);
    }),
    { numRuns: 1_500 },
  );
  expect(Math.min(accepted, refused)).toBeGreaterThan(150);
});

/** What a record may promise: at most half of the lease, and in mode "silence" always something. */
function expectSilence({ silenceMs, election }: ReturnType<typeof resolveOptions>): void {
  expect(election.silenceMs).toBe(silenceMs);
  if (election.crashDetection === "lease") return void expect(silenceMs).toBe(0);
  if (silenceMs === 0) return void expect(election.crashDetection).toBe("presence");
  expect(silenceMs).toBeGreaterThanOrEqual(500);
  expect(silenceMs).toBeLessThanOrEqual(election.leaseTtlMs / 2);
}

/** An accepted option keeps its value. */
function expectKept(name: string, value: unknown, result: ReturnType<typeof resolveOptions>): void {
  const found = { ...result.nats, ...result } as Readonly<Record<string, unknown>>;
  if (value === undefined || name === "servers" || name === "logger" || name === "tls") return;
  expect([name, found[name]]).toEqual([name, value]);
}

/** A line has the option, its value unless that is secret, and the rule. */
function expectLine(line: string, options: Readonly<Record<string, unknown>>): void {
  const name = /^[A-Za-z]+/.exec(line)?.[0] ?? "";
  expect([...NAMES, "leaseTTL", "credentials"], line).toContain(name);
  expect(line).toMatch(/ must | is not an option| is missing| does not fit: .* must be at most /);
  const value = options[name];
  if (typeof value === "number" && name.endsWith("Ms")) expect(line).toContain(`${name} ${value}`);
}

test("an option that is invalid by itself is named, whatever else is invalid", () => {
  const wrong = fc
    .uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 5 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, junk]))));
  let several = 0;
  fc.assert(
    fc.property(wrong, (options) => {
      const bad = Object.keys(options).filter((name) => isWrongAlone(name, options[name]));
      if (bad.length === 0) return;
      if (bad.length > 1) several += 1;
      const lines = linesOf({ ...MINIMAL, ...options });
      for (const name of bad)
        expect(
          lines.some((line) => line.startsWith(name)),
          name,
        ).toBe(true);
    }),
    { numRuns: 600 },
  );
  expect(several).toBeGreaterThan(50);
});

/** Rules about several options: another option can make the value valid. */
const RELATION =
  / must come with| must be one auth| does not fit| must be at most lease| must be less than half| must be at most half/;

function isWrongAlone(name: string, value: unknown): boolean {
  const options = { ...MINIMAL, [name]: value };
  if (!(resolvedOrRefused(options) instanceof ClusterError)) return false;
  return linesOf(options).some((line) => line.startsWith(name) && !RELATION.test(line));
}
