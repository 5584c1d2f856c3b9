import { afterEach, expect, test, vi } from "vitest";
import { resolveOptions } from "../../src/config/resolve.ts";
import { rehearse } from "../../src/node/rehearsal.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.doUnmock("../../src/node/rehearsal.ts");
  vi.resetModules();
});

const OPTIONS = { clusterId: "billing", nodeId: "a", servers: "nats://127.0.0.1:1" } as const;

test("a rehearsal goes through takeover, term, step-down and stop, and writes no log line", async () => {
  const write = vi.spyOn(process.stderr, "write");
  expect(await rehearse(resolveOptions(OPTIONS))).toBe(true);
  expect(write).not.toHaveBeenCalled();
});

test("there is one rehearsal in a process, whatever the options of further nodes", async () => {
  const first = rehearse(resolveOptions(OPTIONS));
  expect(rehearse(resolveOptions({ ...OPTIONS, clusterId: "other" }))).toBe(first);
});

test.each([
  ["the shortest lease", { leaseTtlMs: 1000 }],
  ["the longest lease", { leaseTtlMs: 3_600_000 }],
  ["go-cluster's records", { interop: "go-cluster" }],
  ["no crash detection", { crashDetection: "lease" }],
] as const)("a rehearsal also goes through with the options of %s", async (_, options) => {
  const again = await import("../../src/node/rehearsal.ts");
  expect(await again.rehearse(resolveOptions({ ...OPTIONS, ...options }))).toBe(true);
});

test("a node that competes rehearses while it connects; an observer does not", async () => {
  const rehearsals = vi.fn(async () => true);
  vi.resetModules();
  vi.doMock("../../src/node/rehearsal.ts", () => ({ rehearse: rehearsals }));
  const { Node } = await import("../../src/node/node.ts");
  const refused = { ...OPTIONS, logger: false, connectTimeoutMs: 500 } as const;
  await expect(new Node({ ...refused, observer: true }).start()).rejects.toThrow("no connection to NATS");
  expect(rehearsals).not.toHaveBeenCalled();
  await expect(new Node(refused).start()).rejects.toThrow("no connection to NATS");
  expect(rehearsals).toHaveBeenCalledTimes(1);
});
