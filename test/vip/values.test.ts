import { describe, expect, test } from "vitest";
import { resolveOptions } from "../../src/config/resolve.ts";
import { withFence } from "../../src/fencing.ts";
import { Node } from "../../src/index.ts";
import { addressBytes, parseCidr } from "../../src/vip/address.ts";
import { announcement, answerPattern, checksum, question } from "../../src/vip/frames.ts";
import { findAddress, parseLink } from "../../src/vip/ip-command.ts";
import { lifetimeSeconds, worthRefreshing } from "../../src/vip/lifetime.ts";
import { VirtualIp } from "../../src/vip.ts";

const mac = Buffer.from("0a1b2c3d4e5f", "hex");

describe("addresses", () => {
  test.each([
    ["10.0.0.100/24", "10.0.0.100/24", 4],
    ["10.0.0.100", "10.0.0.100/32", 4],
    [" 2001:DB8:0:0::100/64 ", "2001:db8::100/64", 6],
    ["2001:db8::1", "2001:db8::1/128", 6],
    ["64:ff9b::10.0.0.1", "64:ff9b::a00:1/128", 6],
  ])("%s is normalised to %s", (input, cidr, family) => {
    expect(parseCidr(input)).toMatchObject({ cidr, family });
  });

  test.each([
    ["10.0.0", /is not an IP address/],
    ["10.0.0.100/33", /between \/1 and \/32/],
    ["10.0.0.100/0", /between \/1/],
    ["::1", /loopback/],
    ["127.0.0.2/8", /loopback/],
    ["224.0.0.18/32", /multicast/],
    ["ff02::1/64", /multicast/],
    ["fe80::1/64", /link-local/],
    ["fe80::1%eth0/64", /is not an IP address/],
    ["0.0.0.0/32", /unspecified/],
    ["255.255.255.255", /reserved/],
  ])("%s is refused", (input, why) => {
    expect(() => parseCidr(input)).toThrow(why);
  });

  test("are compared as numbers, not as text", () => {
    const link = parseLink(
      JSON.stringify([
        {},
        {
          ifindex: 7,
          ifname: "eth0",
          flags: ["BROADCAST", "UP"],
          link_type: "ether",
          address: "0a:1b:2c:3d:4e:5f",
          addr_info: [
            { family: "inet", local: "10.0.0.10", prefixlen: 24, valid_life_time: 4294967295 },
            { family: "inet6", local: "2001:db8::64", prefixlen: 64, valid_life_time: 5 },
          ],
        },
      ]),
      "eth0",
    );
    if (link === null) throw new Error("no link");
    expect(link).toMatchObject({ index: 7, up: true, loopback: false, mac });
    expect(findAddress(link, parseCidr("10.0.0.100/24"))).toBeNull();
    expect(findAddress(link, parseCidr("10.0.0.1/24"))).toBeNull();
    expect(findAddress(link, parseCidr("10.0.0.10/32"))).toMatchObject({ prefix: 24, lifetimeS: null });
    expect(findAddress(link, parseCidr("2001:0DB8:0::64"))).toMatchObject({ lifetimeS: 5 });
    expect(parseLink("[]", "eth0")).toBeNull();
    expect(parseLink("BusyBox v1.36", "eth0")).toBeNull();
  });

  test("that are invalid have no bytes", () => {
    expect(addressBytes("undefined")).toBeNull();
    expect(addressBytes("::ffff:1.2.3.4")?.slice(-6)).toEqual(Uint8Array.from([255, 255, 1, 2, 3, 4]));
  });
});

describe("frames", () => {
  const v4 = parseCidr("10.0.0.100/24");
  const v6 = parseCidr("2001:db8::100/64");

  test("of a gratuitous ARP are a request and a reply with the same sender and target", () => {
    expect(announcement(v4, mac).map((frame) => frame.toString("hex"))).toEqual([
      "ffffffffffff0a1b2c3d4e5f0806" + "0001080006040001" + "0a1b2c3d4e5f0a000064" + "0000000000000a000064",
      "ffffffffffff0a1b2c3d4e5f0806" + "0001080006040002" + "0a1b2c3d4e5f0a000064" + "ffffffffffff0a000064",
    ]);
  });

  test("of a question have no sender address, so that no neighbour updates its cache", () => {
    expect(question(v4, mac).toString("hex")).toBe(
      "ffffffffffff0a1b2c3d4e5f0806" + "0001080006040001" + "0a1b2c3d4e5f00000000" + "0000000000000a000064",
    );
    expect(question(v6, mac).toString("hex")).toMatch(
      /^3333ff0001000a1b2c3d4e5f86dd6000000000183aff0{32}ff0200000000000000000001ff0001008700....0{8}20010db8000000000000000000000100$/,
    );
  });

  test("of an unsolicited advertisement go to all nodes, override, and have a correct checksum", () => {
    const [frame] = announcement(v6, mac);
    if (frame === undefined) throw new Error("no frame");
    expect(frame.toString("hex")).toMatch(
      /^3333000000010a1b2c3d4e5f86dd6000000000203aff20010db8000000000000000000000100ff0200000000000000000000000000018800....2000000020010db800000000000000000000010002010a1b2c3d4e5f$/,
    );
    const pseudo = Buffer.concat([frame.subarray(22, 54), Buffer.from([0, 0, 0, 32, 0, 0, 0, 58])]);
    expect(checksum(Buffer.concat([pseudo, frame.subarray(54)]))).toBe(0);
  });

  test("that answer a question are distinguished from others", () => {
    const fits = (frame: Buffer | undefined, address: typeof v4): boolean =>
      answerPattern(address).every(({ offset, bytes }) =>
        frame?.subarray(offset, offset + bytes.length).equals(bytes),
      );
    for (const address of [v4, v6]) {
      expect(fits(announcement(address, mac)[0], address)).toBe(true);
      expect(fits(question(address, mac), address)).toBe(false);
    }
    expect(fits(announcement(parseCidr("10.0.0.10"), mac)[1], v4)).toBe(false);
  });
});

describe("lifetimes", () => {
  test("never exceed the lease, even if the kernel is late", () => {
    for (let remaining = 0; remaining < 20_000; remaining += 7) {
      const seconds = lifetimeSeconds(remaining);
      expect(Number.isInteger(seconds)).toBe(true);
      if (seconds > 0) expect(seconds * 1000 + 1300).toBeLessThanOrEqual(remaining);
    }
    expect(lifetimeSeconds(9500)).toBe(8);
    expect(lifetimeSeconds(2299)).toBe(0);
  });

  test("are refreshed once per renewal of a long lease, and more often when the end is near", () => {
    expect(worthRefreshing(9500, 5000)).toBe(true);
    expect(worthRefreshing(8000, 6500)).toBe(false);
    expect(worthRefreshing(2400, 800)).toBe(true);
    expect(worthRefreshing(2200, 500)).toBe(false);
  });
});

describe("options", () => {
  test("are all checked together, and quoted", () => {
    const make = (): VirtualIp =>
      new VirtualIp({
        address: "10.0.0.1000/24",
        interface: "eth0; reboot",
        silenceMs: 0,
        announceAtMs: [-1],
      });
    expect(make).toThrow(/address "10.0.0.1000\/24" is not an IP address/);
    expect(make).toThrow(/interface "eth0; reboot" must be the name/);
    expect(make).toThrow(/silenceMs 0 must be/);
    expect(make).toThrow(/announceAtMs -1 must be/);
  });

  const server = { clusterId: "c", nodeId: "a", servers: "localhost" };

  test("of the node leave room for the lifetime of its address, also behind a fence", () => {
    const hooks = new VirtualIp({ address: "10.0.0.100", interface: "eth0" }).hooks();
    const fenced = withFence(
      { open: async () => null },
      {
        ...hooks,
        onBecomeLeader: async (term) => void (await hooks.onBecomeLeader?.(term)),
        onLoseLeadership: async (term, _, reason) => void (await hooks.onLoseLeadership?.(term, reason)),
      },
    );
    for (const kept of [hooks, { ...hooks }, fenced]) {
      expect(() => new Node({ ...server, silenceMs: 4_533 }, kept)).toThrow(
        "silenceMs 4533 must be 0 or at least 4534, because the node has a virtual IP",
      );
      const short = { ...server, leaseTtlMs: 9_000, crashDetection: "silence" } as const;
      expect(() => new Node(short, kept)).toThrow("leaseTtlMs 9000 must be at least 9068");
      new Node({ ...server, silenceMs: 4_534 }, kept);
      new Node({ ...server, leaseTtlMs: 3_000 }, kept);
    }
    new Node({ ...server, silenceMs: 2_000 });
    expect(resolveOptions(server, undefined, { vip: true }).silenceMs).toBe(5_000);
    expect(resolveOptions({ ...server, leaseTtlMs: 9_000 }, undefined, { vip: true }).silenceMs).toBe(0);
  });

  test("are accepted without I/O", async () => {
    const vip = new VirtualIp({ address: "10.0.0.100", interface: "nosuch0" });
    expect(vip).toMatchObject({
      address: "10.0.0.100/32",
      interface: "nosuch0",
      state: "absent",
      held: false,
    });
    await vip.release();
    await expect(vip.check()).rejects.toMatchObject({ code: "VIP_FAILED" });
  });
});
