/** The chaos harness itself, on one small world: its faults happen, and are mended. What they do to the library is its own business. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FaultName } from "../../scripts/chaos/faults/catalogue.ts";
import { Disk } from "../../scripts/chaos/machine/disk.ts";
import { Namespace } from "../../scripts/chaos/machine/namespace.ts";
import { runWorld } from "../../scripts/chaos/world.ts";

test("a world lives through servers without its user, without JetStream, without room, and a cable that is pulled", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-chaos-test-"));
  const means = { disks: Disk.possible(), namespaces: Namespace.possible() };
  const names: FaultName[] = ["kill", "credentials-revoked", "jetstream-off"];
  if (means.disks) names.push("disk-full");
  if (means.namespaces) names.push("cable-pulled");
  const seen: string[] = [];
  try {
    const report = await runWorld({
      profile: { servers: 1, crashDetection: "presence", clocks: false, ...means },
      number: 1,
      plan: names.map((name, index) => ({ number: index + 1, name, seed: 3 })),
      leaseMs: 2000,
      faketime: null,
      folder,
      stalls: [],
      signal: new AbortController().signal,
      onFault: ({ name }) => seen.push(name),
    });
    expect(report.failure).toBeNull();
    expect(seen).toEqual(names);
    expect(report.faults[0]?.epochAfter).toBeGreaterThan(report.faults[0]?.epochBefore ?? 0);
    expect(report.findings.overlaps.filter(({ blame }) => blame === "none")).toEqual([]);
    expect(report.contents.fenced).toBeGreaterThan(0);
    expect(report.contents.stale).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 180_000);
