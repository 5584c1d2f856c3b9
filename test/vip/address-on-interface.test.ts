import { execFileSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { type Host, ip, Lab, whyNoNamespaces } from "../support/vip/network-namespaces.ts";
import { type Scripted, scripted } from "../support/vip/scripted-vip.ts";

const why = whyNoNamespaces();

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
      // A killed child's keeper needs a moment.
      await waitFor(() => lab.addresses(a, vip).length + lab.addresses(b, vip).length === 0);
    });
    afterAll(() => lab[Symbol.asyncDispose]());

    async function on(host: Host, options: object = {}, within: readonly string[] = []): Promise<Scripted> {
      const child = await scripted(host, { address: `${vip}/32`, ...options }, within);
      running.push(child);
      return child;
    }

    test("is there when acquire has returned, with a label and a lifetime that ends before the lease", async () => {
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

    test("is not mistaken for one that begins or ends like it", async () => {
      const other = lab.address(10);
      ip("-n", a.namespace, "addr", "add", `${other}/32`, "dev", a.device);
      const child = await on(a, { address: `${lab.address(1)}00/32` });
      expect(await child.does("acquire", 9500)).toMatchObject({ state: "held" });
      await child.does("release");
      expect(lab.addresses(a, other)).toHaveLength(1);
      ip("-n", a.namespace, "addr", "del", `${other}/32`, "dev", a.device);
    });

    test("is announced: a neighbour that knew the old host knows the new one at once", async () => {
      const peer = lab.host("peer");
      const [first, second] = [await on(a), await on(b)];
      await first.does("acquire", 9500);
      execFileSync("ip", ["netns", "exec", peer.namespace, "perl", "-e", ping(vip)]);
      expect(lab.neighbour(peer, vip)).toBe(a.mac);
      await first.does("release");
      await second.does("acquire", 9500);
      await waitFor(() => lab.neighbour(peer, vip) === b.mac, { timeoutMs: 1000 });
    });

    test("waits while another host answers for it, and takes it when that lets go", async () => {
      const [first, second] = [await on(a), await on(b)];
      await first.does("acquire", 9500);
      second.child.send({ do: "acquire", ms: 9500 });
      expect(await second.event("vip-waiting")).toMatchObject({ owner: a.mac });
      expect(lab.addresses(b, vip)).toEqual([]);
      await first.does("release");
      expect(await second.child.next((line) => line.done === "acquire")).toMatchObject({ state: "held" });
    });

    test("is refused when a host has it that never lets go", async () => {
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

    test("that the host has for good is refused and left alone", async () => {
      ip("-n", a.namespace, "addr", "add", `${vip}/24`, "dev", a.device);
      try {
        const child = await on(a);
        expect((await child.does("check")).message).toContain("already, for good");
        expect(await child.does("acquire", 9500)).toMatchObject({ failed: "acquire", code: "VIP_FAILED" });
        await child.does("release");
        expect(lab.addresses(a, vip)).toHaveLength(1);
      } finally {
        ip("-n", a.namespace, "addr", "del", `${vip}/24`, "dev", a.device);
      }
    });

    test("that an earlier process left behind on this host is waited for, not taken over", async () => {
      ip("-n", a.namespace, ...`addr add ${vip}/32 dev ${a.device} valid_lft 2 preferred_lft 2`.split(" "));
      const child = await on(a);
      const acquired = await child.does("acquire", 9500);
      expect(acquired).toMatchObject({ state: "held" });
      expect(lab.addresses(a, vip)[0]?.label).toBe(`${a.device}:vip`);
    });

    test("lives on with every renewal, and ends by itself before the lease does when there is none", async () => {
      const child = await on(a);
      const began = performance.now();
      await child.does("acquire", 2800);
      for (let renewed = 0; renewed < 4; renewed++) {
        await waitFor(() => performance.now() - began > 900 * (renewed + 1), { intervalMs: 20 });
        expect(lab.addresses(a, vip)).toHaveLength(1);
        await child.does("renew", 2800);
      }
      const renewedAt = performance.now();
      child.child.kill("SIGSTOP");
      await waitFor(() => lab.addresses(a, vip).length === 0, { timeoutMs: 4000 });
      const livedMs = performance.now() - renewedAt;
      expect(livedMs).toBeLessThan(2800);
      expect(livedMs).toBeGreaterThan(400);
    });

    test("is removed when its process is killed, before its lifetime ends", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      child.child.kill("SIGKILL");
      await waitFor(() => lab.addresses(a, vip).length === 0, { timeoutMs: 5000, intervalMs: 1 });
    });

    test("survives its keeper, and is still removed when the process is killed after that", async () => {
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

    test("leaves a suspended leader and comes back when it resumes", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      await child.does("suspend");
      await child.child.next((line) => line.state === "suspended");
      await waitFor(() => lab.addresses(a, vip).length === 0);
      await child.does("hold");
      await child.child.next((line) => line.state === "held");
      expect(lab.addresses(a, vip)).toHaveLength(1);
    });

    test("comes back when somebody removes it", async () => {
      const child = await on(a);
      await child.does("acquire", 9500);
      ip("-n", a.namespace, "addr", "del", `${vip}/32`, "dev", a.device);
      await child.does("renew", 11_000);
      await waitFor(() => lab.addresses(a, vip).length === 1);
    });

    test("is not added for a term that ends while it is waited for", async () => {
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

    test("without the right to ask, waits out a whole lease and says so", async () => {
      const child = await on(a, {}, ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
      const began = performance.now();
      expect(await child.does("acquire", 2600)).toMatchObject({ failed: "acquire" });
      expect(performance.now() - began).toBeGreaterThan(2500);
      expect(child.child.lines.find((line) => line.event === "vip-blind")?.why).toContain("CAP_NET_RAW");
    });

    test("without the right to change addresses, is refused in words that help", async () => {
      const child = await on(a, {}, ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
      const refused = await child.does("check");
      expect(refused).toMatchObject({ failed: "check", code: "VIP_FAILED" });
      expect(refused.message).toMatch(/needs CAP_NET_ADMIN/);
      expect(await child.does("acquire", 9500)).toMatchObject({ failed: "acquire", code: "VIP_FAILED" });
    });

    test("needs an interface that exists, is up and is no loopback", async () => {
      const message = async (device: string): Promise<string | undefined> =>
        (await (await on(a, { interface: device })).does("check")).message;
      expect(await message("nosuch0")).toContain("there is no such interface");
      expect(await message("lo")).toContain("is the loopback");
      ip("-n", a.namespace, "link", "add", "down0", "type", "veth", "peer", "name", "down1");
      expect(await message("down0")).toContain("is down: ip link set down0 up");
      ip("-n", a.namespace, "link", "del", "down0");
    });

    test("may be IPv6: added without a second of doubt, deprecated, and gone with its process", async () => {
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

/** Perl that sends one UDP datagram, so that the address is resolved. */
function ping(to: string): string {
  return `use Socket; socket(S, PF_INET, SOCK_DGRAM, 0); send(S, "x", 0, sockaddr_in(9, inet_aton("${to}"))); select(undef, undef, undef, 0.05)`;
}
