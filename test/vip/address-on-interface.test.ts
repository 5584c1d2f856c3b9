import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { SYSTEM_FOLDERS } from "../../src/vip/ip-command.ts";
import { type Host, ip, Lab, whyNoNamespaces } from "../support/vip/network-namespaces.ts";
import { type Scripted, scripted } from "../support/vip/scripted-vip.ts";

const why = whyNoNamespaces();
const IP = findProgram("ip", SYSTEM_FOLDERS);

describe.skipIf(why !== null)(
  `an address on a real interface${why === null ? "" : ` (skipped: ${why})`}`,
  () => {
    let lab: Lab;
    let a: Host;
    let b: Host;
    let vip: string;
    const running: Scripted[] = [];
    beforeAll(() => {
      lab = new Lab();
      a = lab.host("a");
      b = lab.host("b");
      vip = lab.address(100);
    });
    afterEach(async () => {
      for (const child of running.splice(0)) await child[Symbol.asyncDispose]();
      // The keeper of a killed child removes the address asynchronously.
      await waitFor(() => lab.addresses(a, vip).length + lab.addresses(b, vip).length === 0);
    });
    afterAll(() => lab[Symbol.asyncDispose]());

    async function on(host: Host, options: object = {}, within: readonly string[] = []): Promise<Scripted> {
      const child = await scripted(host, { address: `${vip}/32`, ...options }, within);
      running.push(child);
      return child;
    }

    test("is on the interface when acquire resolves, with a label and a lifetime that ends before the lease", async () => {
      const child = await on(a);
      expect(await child.does("check")).toMatchObject({ done: "check" });
      expect(await child.does("acquire", 9500)).toMatchObject({ done: "acquire", state: "held" });
      const [address, ...others] = lab.addresses(a, vip);
      expect(others).toEqual([]);
      expect(address).toMatchObject({ prefixlen: 32, label: `${a.device}:vip` });
      expect(address?.valid_life_time).toBeGreaterThanOrEqual(7);
      expect(address?.valid_life_time).toBeLessThanOrEqual(8);
      expect(await child.does("health")).toMatchObject({ acquired: true, onInterface: true, ip: vip });
      child.child.send({ do: "end" });
      expect(await child.event("vip-released")).toMatchObject({ level: "info" });
      expect(lab.addresses(a, vip)).toEqual([]);
    });

    test("is distinguished from an address that is a prefix of its text", async () => {
      const other = lab.address(10);
      ip("-n", a.namespace, "addr", "add", `${other}/32`, "dev", a.device);
      const child = await on(a, { address: `${lab.address(1)}00/32` });
      expect(await child.does("acquire", 9500)).toMatchObject({ state: "held" });
      await child.does("release");
      expect(lab.addresses(a, other)).toHaveLength(1);
      ip("-n", a.namespace, "addr", "del", `${other}/32`, "dev", a.device);
    });

    test("is announced, so that a neighbour with the old host in its cache gets the new one at once", async () => {
      const peer = lab.host("peer");
      const [first, second] = [await on(a), await on(b)];
      await first.does("acquire", 9500);
      execFileSync("ip", ["netns", "exec", peer.namespace, "perl", "-e", ping(vip)]);
      expect(lab.neighbour(peer, vip)).toBe(a.mac);
      await first.does("release");
      await second.does("acquire", 9500);
      await waitFor(() => lab.neighbour(peer, vip) === b.mac, { timeoutMs: 1000 });
    });

    test("is acquired as soon as another host that answers for it has removed it", async () => {
      const [first, second] = [await on(a), await on(b)];
      await first.does("acquire", 9500);
      second.child.send({ do: "acquire", ms: 9500 });
      expect(await second.event("vip-waiting")).toMatchObject({ owner: a.mac });
      expect(lab.addresses(b, vip)).toEqual([]);
      await first.does("release");
      expect(await second.child.next((line) => line.done === "acquire")).toMatchObject({ state: "held" });
    });

    test("is refused if another host keeps it", async () => {
      ip("-n", b.namespace, "addr", "add", `${vip}/32`, "dev", b.device);
      try {
        const child = await on(a);
        const refused = await child.does("acquire", 2500);
        expect(refused).toMatchObject({ failed: "acquire", code: "VIP_FAILED" });
        expect(refused.message).toContain(`in use by ${b.mac}`);
      } finally {
        ip("-n", b.namespace, "addr", "del", `${vip}/32`, "dev", b.device);
      }
      expect(lab.addresses(a, vip)).toEqual([]);
    });

    test("that is configured permanently is refused and not changed", async () => {
      ip("-n", a.namespace, "addr", "add", `${vip}/24`, "dev", a.device);
      try {
        const child = await on(a);
        expect((await child.does("check")).message).toContain("already configured permanently");
        expect(await child.does("acquire", 9500)).toMatchObject({ failed: "acquire", code: "VIP_FAILED" });
        await child.does("release");
        expect(lab.addresses(a, vip)).toHaveLength(1);
      } finally {
        ip("-n", a.namespace, "addr", "del", `${vip}/24`, "dev", a.device);
      }
    });

    test("that an earlier process has left on this host is not changed, and acquired when it has expired", async () => {
      ip("-n", a.namespace, ...`addr add ${vip}/32 dev ${a.device} valid_lft 2 preferred_lft 2`.split(" "));
      const child = await on(a);
      const acquired = await child.does("acquire", 9500);
      expect(acquired).toMatchObject({ state: "held" });
      expect(lab.addresses(a, vip)[0]?.label).toBe(`${a.device}:vip`);
    });

    test("is extended by every renewal, and without one expires before the lease", async () => {
      // Longer than a busy machine keeps this process waiting between two renewals.
      const LEASE_MS = 6_000;
      const child = await on(a);
      const began = performance.now();
      await child.does("acquire", LEASE_MS);
      for (let renewed = 0; performance.now() - began < LEASE_MS + 1_000; renewed++) {
        await waitFor(() => performance.now() - began > 1_500 * (renewed + 1), { intervalMs: 20 });
        expect(lab.addresses(a, vip)).toHaveLength(1);
        await child.does("renew", LEASE_MS);
      }
      const renewedAt = performance.now();
      child.child.kill("SIGSTOP");
      await waitFor(() => lab.addresses(a, vip).length === 0, { timeoutMs: 15_000, intervalMs: 20 });
      const livedMs = performance.now() - renewedAt;
      expect(livedMs).toBeLessThan(LEASE_MS);
      expect(livedMs).toBeGreaterThan(400);
      child.child.kill("SIGCONT");
      expect(await child.does("release")).toMatchObject({ state: "absent" });
      expect(child.child.lines.map(({ event }) => event)).not.toContain("vip-stuck");
    });

    test("expires before the end of the stretch, however long the lease is, and is added again by the next beat", async () => {
      const child = await on(a);
      await child.does("beat", 4_000);
      const began = performance.now();
      await child.does("acquire", 600_000);
      await waitFor(() => lab.addresses(a, vip).length === 0, { intervalMs: 5 });
      expect(performance.now() - began).toBeLessThan(4_000);
      await child.does("beat", 4_000);
      await waitFor(() => lab.addresses(a, vip).length === 1);
      const beatAt = performance.now();
      child.child.kill("SIGSTOP");
      await waitFor(() => lab.addresses(a, vip).length === 0, { intervalMs: 5 });
      expect(performance.now() - beatAt).toBeLessThan(4_000);
      child.child.kill("SIGCONT");
    });

    test("that cannot be held from one beat to the next is refused, with the options to change", async () => {
      const child = await on(a);
      await child.does("beat", 2_000);
      const beats = setInterval(() => child.child.send({ do: "beat", ms: 2_000 }), 100);
      const refused = await child.does("acquire", 600_000).finally(() => clearInterval(beats));
      expect(refused).toMatchObject({ failed: "acquire", code: "VIP_FAILED" });
      expect(refused.message).toMatch(/the node option silenceMs to 0 or at least 4534/);
    });

    test("of a suspended term is added when it resumes, not refused", async () => {
      const child = await on(a);
      child.child.send({ do: "acquire", ms: 600_000 });
      await child.does("suspend");
      await waitFor(async () => (await child.does("keeper")).keeper !== undefined);
      expect(lab.addresses(a, vip)).toEqual([]);
      await child.does("hold");
      expect(await child.child.next((line) => line.done === "acquire")).toMatchObject({ state: "held" });
    });

    test.each([
      ["IPv4", 4],
      ["IPv6", 6],
    ])("that has been removed before the term ends is released without an error: %s", async (_, family) => {
      const text = family === 4 ? vip : "fd77::64";
      const cidr = family === 4 ? `${vip}/32` : "fd77::64/64";
      const child = await on(a, { address: cidr });
      await child.does("acquire", 9500);
      ip("-n", a.namespace, "addr", "del", cidr, "dev", a.device);
      expect(await child.does("release")).toMatchObject({ state: "absent" });
      expect(child.child.lines.filter(({ level }) => level === "error")).toEqual([]);
      expect(child.child.lines.map(({ event }) => event)).toContain("vip-released");
      expect(lab.addresses(a, text)).toEqual([]);
    });

    test("that cannot be removed is an error with the kernel's reason", async () => {
      const folder = mkdtempSync(join(tmpdir(), "nats-leader-ip-"));
      try {
        const refusing = `#!/bin/sh\ncase $* in *"addr del"*${vip}*) echo "Error: busy." >&2; exit 2;; esac\nexec ${IP} "$@"\n`;
        writeFileSync(join(folder, "ip"), refusing, { mode: 0o755 });
        const child = await on(a, {}, ["env", `PATH=${folder}:${process.env["PATH"]}`]);
        await child.does("acquire", 3500);
        child.child.send({ do: "end" });
        expect(await child.event("vip-stuck")).toMatchObject({ level: "error", why: "Error: busy." });
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    test("is removed when its process is killed, before its lifetime ends", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      child.child.kill("SIGKILL");
      await waitFor(() => lab.addresses(a, vip).length === 0, { timeoutMs: 5000, intervalMs: 1 });
    });

    test("remains when its keeper is killed, and is removed when the process is killed after that", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      const { keeper } = await child.does("keeper");
      process.kill(keeper ?? 0, "SIGKILL");
      await waitFor(async () => {
        const now = await child.does("keeper");
        return now.keeper !== keeper;
      });
      expect(lab.addresses(a, vip)).toHaveLength(1);
      child.child.kill("SIGKILL");
      await waitFor(() => lab.addresses(a, vip).length === 0, { timeoutMs: 1000, intervalMs: 5 });
    });

    test("is removed when the term is suspended, and added when it resumes", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      await child.does("suspend");
      await child.child.next((line) => line.state === "suspended");
      await waitFor(() => lab.addresses(a, vip).length === 0);
      await child.does("hold");
      await child.child.next((line) => line.state === "held");
      expect(lab.addresses(a, vip)).toHaveLength(1);
    });

    test("is added again when it was removed by hand", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      ip("-n", a.namespace, "addr", "del", `${vip}/32`, "dev", a.device);
      await child.does("renew", 11_000);
      await waitFor(() => lab.addresses(a, vip).length === 1);
    });

    test("is not added for a term that ends during the wait for it", async () => {
      const [first, second] = [await on(a), await on(b)];
      await first.does("acquire", 9500);
      second.child.send({ do: "acquire", ms: 9500 });
      await second.event("vip-waiting");
      second.child.send({ do: "end" });
      expect(await second.child.next((line) => line.done === "acquire")).not.toMatchObject({ state: "held" });
      await first.does("release");
      expect(await second.does("release")).toMatchObject({ state: "absent" });
      expect(lab.addresses(b, vip)).toEqual([]);
    });

    test("waits for a whole lease, and logs the reason, without the permission to ask", async () => {
      const child = await on(a, {}, ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
      const began = performance.now();
      expect(await child.does("acquire", 2600)).toMatchObject({ failed: "acquire" });
      expect(performance.now() - began).toBeGreaterThan(2500);
      expect(child.child.lines.find((line) => line.event === "vip-blind")?.why).toContain("CAP_NET_RAW");
    });

    test("waits for a whole lease without the permission to ask, whatever this leader promises", async () => {
      const child = await on(a, {}, ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
      await child.does("beat", 600);
      const began = performance.now();
      child.child.send({ do: "acquire", ms: 2_600 });
      const blind = await child.event("vip-blind");
      expect(blind.waitMs).toBeGreaterThan(600);
      await child.child.next((line) => line.failed === "acquire");
      expect(performance.now() - began).toBeGreaterThan(2_500);
    });

    test("is refused with the missing permission, CAP_NET_ADMIN", async () => {
      const child = await on(a, {}, ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
      const refused = await child.does("check");
      expect(refused).toMatchObject({ failed: "check", code: "VIP_FAILED" });
      expect(refused.message).toMatch(/needs CAP_NET_ADMIN/);
      expect(await child.does("acquire", 9500)).toMatchObject({ failed: "acquire", code: "VIP_FAILED" });
    });

    test("needs an interface that exists, is up and is not the loopback", async () => {
      const message = async (device: string): Promise<string | undefined> =>
        (await (await on(a, { interface: device })).does("check")).message;
      expect(await message("nosuch0")).toContain("there is no such interface");
      expect(await message("lo")).toContain("is the loopback");
      ip("-n", a.namespace, "link", "add", "down0", "type", "veth", "peer", "name", "down1");
      expect(await message("down0")).toContain("is down: ip link set down0 up");
      ip("-n", a.namespace, "link", "del", "down0");
    });

    test("may be IPv6: added without duplicate detection, deprecated, and removed when its process is killed", async () => {
      const child = await on(a, { address: "FD77:0::00:64/64" });
      expect(await child.does("acquire", 9500)).toMatchObject({ state: "held" });
      const [address] = lab.addresses(a, "fd77::64");
      expect(address).toMatchObject({ prefixlen: 64, deprecated: true, nodad: true });
      expect(address).not.toHaveProperty("tentative");
      const other = await on(b, { address: "fd77::64/64" });
      other.child.send({ do: "acquire", ms: 9500 });
      expect(await other.event("vip-waiting")).toMatchObject({ owner: a.mac });
      child.child.kill("SIGKILL");
      await other.child.next((line) => line.done === "acquire");
      expect(lab.addresses(a, "fd77::64")).toEqual([]);
      expect(lab.addresses(b, "fd77::64")).toHaveLength(1);
    });
  },
);

/** A Perl script that sends one UDP datagram, so that the kernel resolves the address. */
function ping(to: string): string {
  return `use Socket; socket(S, PF_INET, SOCK_DGRAM, 0); send(S, "x", 0, sockaddr_in(9, inet_aton("${to}"))); select(undef, undef, undef, 0.05)`;
}
