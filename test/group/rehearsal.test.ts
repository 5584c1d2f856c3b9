import { expect, test, vi } from "vitest";
import { resolveGroupOptions } from "../../src/config/group.ts";
import { groupDriver } from "../../src/group/group-driver.ts";
import { natsGroupBackend } from "../../src/group/nats-group-backend.ts";
import { rehearsal, rehearse } from "../../src/group/rehearsal.ts";
import { noAbort } from "../support/nats/store-and-session.ts";

const OPTIONS = { groupId: "orders", memberId: "a", servers: "nats://127.0.0.1:1", resources: 4 } as const;

test.each([
  ["the defaults", {}],
  ["the shortest lease", { leaseTtlMs: 1000 }],
  ["the longest lease", { leaseTtlMs: 3_600_000 }],
  ["no crash detection", { crashDetection: "lease" }],
  ["a member that takes nothing", { weight: 0, maxOwned: 0 }],
  ["patience", { settleMs: 60_000, rejoinGraceMs: 60_000, unownedGraceMs: 60_000 }],
] as const)("takes over from a dead and from a leaving member with the options of %s", async (_, options) => {
  const write = vi.spyOn(process.stderr, "write");
  try {
    expect(await rehearsal(resolveGroupOptions({ ...OPTIONS, ...options }), groupDriver)).toBe(true);
    expect(write).not.toHaveBeenCalled();
  } finally {
    write.mockRestore();
  }
});

test("there is one in a process, whatever the options of further members", async () => {
  const first = rehearse(resolveGroupOptions(OPTIONS), groupDriver);
  expect(rehearse(resolveGroupOptions({ ...OPTIONS, groupId: "other" }), groupDriver)).toBe(first);
  expect(await first).toBe(true);
});

test("a member rehearses while it connects", async () => {
  const whileConnecting = vi.fn();
  const options = resolveGroupOptions({ ...OPTIONS, connectTimeoutMs: 500 });
  const request = {
    groupId: "orders",
    incarnation: "i",
    signal: noAbort(),
    above: 0,
    silenceMs: 0,
    warn: () => {},
  };
  const attaching = natsGroupBackend(options, whileConnecting).attach(request);
  expect(whileConnecting).toHaveBeenCalledTimes(1);
  await expect(attaching).rejects.toThrow("no connection to NATS");
});
