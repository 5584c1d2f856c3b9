/** The chaos harness on one small world: it injects its faults and undoes them. `npm run chaos` judges the library. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isForbidden } from "../../scripts/chaos/check/findings.ts";
import type { FaultName } from "../../scripts/chaos/faults/names.ts";
import { Disk } from "../../scripts/chaos/machine/disk.ts";
import { Namespace } from "../../scripts/chaos/machine/namespace.ts";
import { runWorld } from "../../scripts/chaos/world.ts";

test("a world recovers from revoked users, missing JetStream, a full disk and a pulled cable", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-chaos-test-"));
  const support = { disks: Disk.possible(), namespaces: Namespace.possible() };
  const names: FaultName[] = ["kill", "credentials-revoked", "jetstream-off"];
  if (support.disks) names.push("disk-full");
  if (support.namespaces) names.push("cable-pulled");
  const seen: string[] = [];
  try {
    const report = await runWorld({
      profile: { servers: 1, crashDetection: "mixed", clocks: false, ...support },
      number: 1,
      schedule: names.map((name, index) => ({ number: index + 1, name, seed: 3 })),
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
    expect(report.findings.overlaps.filter(isForbidden)).toEqual([]);
    expect(report.contents.fenced).toBeGreaterThan(0);
    expect(report.contents.stale).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
