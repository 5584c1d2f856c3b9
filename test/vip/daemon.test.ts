import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";
import { type Host, Lab, whyNoNamespaces } from "../support/vip/network-namespaces.ts";

const why = whyNoNamespaces();

describe.skipIf(why !== null)(`the daemon's virtual IP${why === null ? "" : ` (skipped: ${why})`}`, () => {
  let lab: Lab;
  let url: string;
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-daemon-"));
  beforeAll(async () => {
    lab = new Lab();
    url = (await lab.natsServer()).url;
  });
  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  function daemon(host: Host, address: string, device: string = host.device): Child<object> {
    const config = join(folder, `${host.name}-${device}.json`);
    const vip = { address, netmask: 32, interface: device };
    writeFileSync(
      config,
      JSON.stringify({ clusterId: "vipd", nodeId: host.name, nats: { servers: [url] }, vip }),
    );
    return spawnChild("src/cli/main.ts", { args: ["daemon", "--config", config], within: host.exec });
  }

  test("is on the leader's host, moves when that daemon gets SIGTERM, and is removed when the last one ends", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")];
    const vip = lab.address(100);
    const has = (host: Host): boolean => lab.addresses(host, vip).length === 1;
    await using first = daemon(a, vip);
    await waitFor(() => has(a), { timeoutMs: 15_000 });
    await using second = daemon(b, vip);
    await waitFor(() => /leader changed/.test(second.stderr + JSON.stringify(second.lines)), {
      timeoutMs: 15_000,
      message: () => second.stderr + JSON.stringify(second.lines),
    });
    first.kill("SIGTERM");
    await waitFor(() => has(b), { timeoutMs: 15_000 });
    expect(has(a)).toBe(false);
    expect((await first.exit).code).toBe(0);
    second.kill("SIGTERM");
    expect((await second.exit).code).toBe(0);
    expect(has(b)).toBe(false);
  });

  test("that this host cannot hold ends the daemon before it competes", async () => {
    const host = lab.host("c");
    await using refused = daemon(host, lab.address(101), "nosuch0");
    expect((await refused.exit).code).not.toBe(0);
    expect(refused.stderr).toContain("there is no such interface");
  });
});
