import fc from "fast-check";
import { expect, test } from "vitest";
import { type NodeOptions, resolveOptions } from "../../src/config/resolve.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { ClusterError } from "../../src/errors.ts";
import { errorOf, FAKE_SEED, linesOf, MINIMAL } from "../support/config/refused-options.ts";

/** Values inside and well outside of the range, so that both sides of every relation are tested. */
function around(max: number): fc.Arbitrary<number | undefined> {
  return fc.oneof(fc.constant(undefined), fc.integer({ min: 1, max }), fc.integer({ min: 1, max: max / 10 }));
}

const TIMING = fc.record({
  leaseTtlMs: fc.oneof(fc.constant(undefined), fc.integer({ min: 1_000, max: 60_000 })),
  heartbeatIntervalMs: around(30_000),
  requestTimeoutMs: around(10_000),
  retryDelayMs: around(5_000),
  reconnectWaitMs: around(5_000),
  silenceMs: fc.oneof(fc.constantFrom(undefined, 0), fc.integer({ min: 500, max: 10_000 })),
  successorGraceMs: around(20_000),
  cooldownMs: around(20_000),
});

function acceptedOrNull(options: NodeOptions): ReturnType<typeof resolveOptions> | null {
  try {
    return resolveOptions(options);
  } catch (error) {
    if (error instanceof ClusterError && error.code === "INVALID_CONFIG") return null;
    throw error;
  }
}

test("an accepted timing leaves a leader time to repeat a lost renewal and to survive a lost connection", () => {
  let accepted = 0;
  fc.assert(
    fc.property(TIMING, (timing) => {
      const resolved = acceptedOrNull({ ...MINIMAL, ...timing });
      if (resolved === null) return;
      accepted += 1;
      const { leaseTtlMs: ttl, heartbeatIntervalMs: heartbeat, requestTimeoutMs: timeout } = resolved;
      const { reconnectWaitMs: wait = Number.NaN } = resolved.nats;
      const span = leaseSpanMs(ttl);
      expect(span).toBeGreaterThanOrEqual(ttl * 0.75);
      expect(heartbeat).toBeLessThan(ttl / 2);
      expect(span).toBeGreaterThan(heartbeat + timeout);
      expect(span).toBeGreaterThanOrEqual(heartbeat + 2 * timeout + resolved.retryDelayMs);
      expect(span).toBeGreaterThanOrEqual(heartbeat + 2 * wait + timeout);
      expect(resolved.successorGraceMs).toBeLessThanOrEqual(ttl);
      expect(resolved.silenceMs).toBeLessThanOrEqual(ttl / 2);
      for (const ms of [ttl, heartbeat, timeout, wait, resolved.retryDelayMs, resolved.cooldownMs]) {
        expect(Number.isSafeInteger(ms) && ms >= 0).toBe(true);
      }
    }),
    { numRuns: 3_000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

test("the timing part of an election is the one that was checked", () => {
  fc.assert(
    fc.property(TIMING, (timing) => {
      const resolved = acceptedOrNull({ ...MINIMAL, ...timing });
      if (resolved === null) return;
      expect(resolved).toMatchObject(resolved.election);
    }),
  );
});

test("the defaults fit any lease and any heartbeat below half of it", () => {
  const anyPair = fc.integer({ min: 1_000, max: 3_600_000 }).chain((leaseTtlMs) =>
    fc.record({
      leaseTtlMs: fc.constant(leaseTtlMs),
      heartbeatIntervalMs: fc.oneof(
        fc.constant(undefined),
        fc.integer({ min: 50, max: Math.ceil(leaseTtlMs / 2) - 1 }),
        fc.constant(Math.ceil(leaseTtlMs / 2) - 1),
      ),
    }),
  );
  fc.assert(
    fc.property(anyPair, (timing) => {
      expect(acceptedOrNull({ ...MINIMAL, ...timing })).not.toBeNull();
    }),
    { numRuns: 2_000 },
  );
});

test("by default a leader promises 2 s of silence, and none with a short lease unless that is its mode", () => {
  const byDefault = (options: Partial<NodeOptions>) => resolveOptions({ ...MINIMAL, ...options }).silenceMs;
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 3_600_000 }), (leaseTtlMs) => {
      const silenceMs = byDefault({ leaseTtlMs });
      expect(silenceMs).toBe(leaseTtlMs < 5_000 ? 0 : 2_000);
      // What is the default may be given.
      expect(byDefault({ leaseTtlMs, silenceMs })).toBe(silenceMs);
      expect(byDefault({ leaseTtlMs, crashDetection: "silence" })).toBe(
        Math.min(2_000, Math.floor(leaseTtlMs / 2)),
      );
      expect(byDefault({ leaseTtlMs, crashDetection: "lease" })).toBe(0);
    }),
  );
});

test("a refusal of the timing starts with an option that was given, and quotes its value", () => {
  fc.assert(
    fc.property(TIMING, (timing) => {
      const options = { ...MINIMAL, ...timing };
      if (acceptedOrNull(options) !== null) return;
      for (const line of linesOf(options)) {
        const [name = "", value] = line.split(" ");
        expect((timing as Record<string, number | undefined>)[name]).toBe(Number(value));
      }
    }),
    { numRuns: 2_000 },
  );
});

const NAMES = [
  "clusterId",
  "nodeId",
  "servers",
  "connection",
  "user",
  "pass",
  "token",
  "nkeySeed",
  "jwt",
  "credsFile",
  "creds",
  "tls",
  "inboxPrefix",
  "connectTimeoutMs",
  "reconnectWaitMs",
  "leaseTtlMs",
  "heartbeatIntervalMs",
  "requestTimeoutMs",
  "retryDelayMs",
  "successorGraceMs",
  "cooldownMs",
  "drainTimeoutMs",
  "crashDetection",
  "silenceMs",
  "observer",
  "interop",
  "replicas",
  "service",
  "serviceVersion",
  "logger",
  "logLevel",
] as const satisfies readonly (keyof NodeOptions)[];

test("any value of an option is accepted, or refused by the name of the option", () => {
  const anything = fc.oneof(fc.anything(), fc.constantFrom("", "x", 0, -1, true, null, [], {}, [[]]));
  fc.assert(
    fc.property(fc.constantFrom(...NAMES), anything, (name, value) => {
      const options = { ...MINIMAL, [name]: value } as NodeOptions;
      if (acceptedOrNull(options) !== null) return;
      expect(errorOf(options).message).toContain(name);
    }),
    { numRuns: 3_000 },
  );
});

/** Long enough not to occur in a message by chance. */
const SECRET = fc.stringMatching(/^[A-Za-z0-9:/?#%@!,;"' ]{0,12}Xq7Zk9[A-Za-z0-9:/?#%!,;"']{0,12}$/);

test("no secret is in any refusal", () => {
  const shapes = SECRET.chain((secret) =>
    fc.constantFrom<Record<string, unknown>>(
      { pass: secret },
      { token: secret, nkeySeed: FAKE_SEED },
      { nkeySeed: secret },
      { jwt: secret },
      { creds: secret },
      { credsFile: `-----BEGIN NATS USER JWT-----${secret}` },
      { user: "me", pass: secret, token: secret },
      { tls: { key: secret } },
      { tls: { key: [secret] } },
      { tls: secret },
      { servers: `nats://me:${secret}@host:99999` },
      { servers: `nats://${secret}@` },
      { servers: [`nats://me:${secret}@a`, `nats://me:${secret}2@b`] },
      { servers: [`nats://me:${secret}@a`, 5] },
      { servers: [[`nats://me:${secret}@a`]] },
      { servers: { url: secret } },
      // Without a host.
      { servers: `me:${secret.replaceAll(/[@/]/g, "")}` },
      { url: `nats://me:${secret}@a` },
      { [`nats://me:${secret}@a`]: 1 },
    ),
  );
  fc.assert(
    fc.property(shapes, (part) => {
      const options = { ...MINIMAL, ...part, nodeId: "not valid" };
      expect(errorOf(options).message).not.toContain("Xq7Zk9");
    }),
    { numRuns: 3_000 },
  );
});
