import { expect, test, vi } from "vitest";
import { resolveOptions } from "../../src/config/resolve.ts";
import { natsBackend } from "../../src/node/nats-backend.ts";
import { rehearsal, rehearse } from "../../src/node/rehearsal.ts";
import { noAbort } from "../support/nats/store-and-session.ts";

const OPTIONS = { clusterId: "billing", nodeId: "a", servers: "nats://127.0.0.1:1" } as const;

test.each([
  ["the defaults", {}],
  ["the shortest lease", { leaseTtlMs: 1000 }],
  ["the longest lease", { leaseTtlMs: 3_600_000 }],
  ["go-cluster's records", { interop: "go-cluster" }],
  ["no crash detection", { crashDetection: "lease" }],
] as const)("goes through takeover, term, step-down and stop with the options of %s", async (_, options) => {
  const write = vi.spyOn(process.stderr, "write");
  try {
    expect(await rehearsal(resolveOptions({ ...OPTIONS, ...options }))).toBe(true);
    expect(write).not.toHaveBeenCalled();
  } finally {
    write.mockRestore();
  }
});

test("there is one in a process, whatever the options of further nodes", async () => {
  const first = rehearse(resolveOptions(OPTIONS));
  expect(rehearse(resolveOptions({ ...OPTIONS, clusterId: "other" }))).toBe(first);
  expect(await first).toBe(true);
});

test("a node that competes rehearses while it connects; an observer does not", async () => {
  const whileConnecting = vi.fn();
  const connect = async (observer: boolean): Promise<void> => {
    const options = resolveOptions({ ...OPTIONS, observer, connectTimeoutMs: 500 });
    const request = { clusterId: "billing", incarnation: "i", signal: noAbort(), warn: () => {} };
    const attaching = natsBackend(options, whileConnecting).attach({
      ...request,
      rememberedEpoch: 0,
      silenceMs: 0,
    });
    await expect(attaching).rejects.toThrow("no connection to NATS");
  };
  await connect(true);
  expect(whileConnecting).not.toHaveBeenCalled();
  await connect(false);
  expect(whileConnecting).toHaveBeenCalledTimes(1);
});
