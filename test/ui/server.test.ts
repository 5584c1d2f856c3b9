/** The server of the page on a real nats-server: what it shows, who may see it and change something, and what ends it. */
import { connect as connectTcp } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import type {
  AccountView,
  ChangesView,
  ClusterCard,
  DoctorView,
  GridChunk,
  GroupCard,
  LeaseCard,
  PastView,
  RenewalsCard,
} from "../../src/ui/model/types.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { operatorOf } from "../support/node/operator.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { servePage, Viewer } from "../support/ui/served-page.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("what is shown", () => {
  test("a cluster with its leader, nodes and terms; a handover as it happens", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    await startNode(server, { clusterId, nodeId: "b" });
    await startNode(server, { clusterId, nodeId: "o", observer: true });
    const { url } = await servePage(server.url);
    const viewer = await Viewer.open(url, `cluster/${clusterId}`);
    const key = `cluster/${clusterId}`;
    const card = await viewer.until<ClusterCard>(key, ({ nodes }) => nodes.length === 3);
    expect(card).toMatchObject({ phase: "led", leader: "a", epoch: 1 });
    expect(card.nodes).toMatchObject([
      { id: "a", state: "leading", leads: true, presence: "on" },
      { id: "b", state: "following", whyNot: null, roundTripMs: expect.any(Number) },
      { id: "o", state: "observing", whyNot: "observer" },
    ]);
    const lease = await viewer.until<LeaseCard>(`lease/${clusterId}`, () => true);
    await viewer.until<LeaseCard>(`lease/${clusterId}`, ({ renewedAt }) => renewedAt > lease.renewedAt);
    await a.node.stepDown({ to: "b" });
    await viewer.until<ClusterCard>(key, ({ leader }) => leader === "b");
    const past = await viewer.until<PastView>(`${key}/past`, ({ terms }) => terms.length === 2);
    expect(past.terms).toMatchObject([
      { node: "b", epoch: 2, until: null, vacancyAtMost: false },
      { node: "a", epoch: 1, why: "released", to: "b" },
    ]);
    const cooling = await viewer.until<ClusterCard>(key, ({ nodes }) => nodes[0]?.state === "following");
    expect(cooling.nodes[1]).toMatchObject({ id: "b", leads: true });
    // Doctor has examined it in the meantime.
    await viewer.until<DoctorView>("doctor", ({ examined }) => examined > 0);
  });

  test("a cluster that is created later, and not one that is deleted", async () => {
    const { url } = await servePage(server.url);
    const viewer = await Viewer.open(url);
    await viewer.until<AccountView>("account", ({ listed, connected }) => listed && connected);
    const clusterId = freshId();
    const leader = await startLeader(server, { clusterId, nodeId: "a" });
    await viewer.until<ClusterCard>(`cluster/${clusterId}`, (card) => card.leader === "a");
    await leader.node.stop();
    await viewer.until<ClusterCard>(`cluster/${clusterId}`, ({ phase }) => phase === "released");
    const { connection } = await operatorOf(server, clusterId);
    await connection.request(`$JS.API.STREAM.DELETE.KV_KV_CLUSTER_${clusterId}`);
    await waitFor(() => !viewer.values.has(`cluster/${clusterId}`));
    expect(viewer.values.has(`lease/${clusterId}`)).toBe(false);
  });

  test("a group with its members and resources; hostile names are text", async () => {
    const hostile = '<img src=x onerror="alert(1)">\u202e\u0007';
    const group = new RealGroup(server.url, { resources: [hostile, "plain", "other"] });
    const a = await group.start("a");
    await group.start("b");
    const { url } = await servePage(server.url);
    const key = `group/${group.groupId}`;
    const viewer = await Viewer.open(url, key);
    const card = await viewer.until<GroupCard>(
      key,
      ({ members, owned }) => members.length === 2 && owned === 3,
    );
    expect(card).toMatchObject({ resources: 3, unowned: 0, gridLeftOut: null });
    const grid = await viewer.until<GridChunk>(`${key}/grid/0`, (cells) => cells.length === 3);
    // Neither controls nor characters that reorder text.
    expect(grid.map(([name]) => name)).toContain('<img src=x onerror="alert(1)">\\u202e\\u0007');
    const html = await (await fetch(url)).text();
    expect(html).not.toContain("onerror");
    await a.stop();
    const moved = await viewer.until<GroupCard>(
      key,
      ({ members, owned }) =>
        owned === 3 && members.every(({ id, owns }) => (id === "b" ? owns === 3 : owns === 0)),
    );
    expect(moved.unowned).toBe(0);
    const tintOfB = moved.members.find(({ id }) => id === "b")?.tint;
    await viewer.until<GridChunk>(`${key}/grid/0`, (cells) =>
      cells.every(([, , owner]) => owner === tintOfB),
    );
    // A viewer of something else gets no cells.
    const other = await Viewer.open(url);
    expect([...other.values.keys()].filter((name) => name.includes("/grid/"))).toEqual([]);
    expect(other.values.has(key)).toBe(true);
  });

  test("the times of a group by the clock of this host, also if that is wrong", async () => {
    const group = new RealGroup(server.url, { resources: 1 });
    await group.start("a");
    await group.untilShares({ a: 1 });
    // An hour ahead of the clock of the NATS server: by that, the last renewal would be an hour ago.
    const realNow = Date.now.bind(Date);
    const clock = vi.spyOn(Date, "now").mockImplementation(() => realNow() + 3_600_000);
    atEnd(() => clock.mockRestore());
    const { url } = await servePage(server.url);
    const key = `group/${group.groupId}`;
    const viewer = await Viewer.open(url, key);
    const isRecent = (at: number | null | undefined): boolean => Math.abs(Date.now() - (at ?? 0)) < 60_000;
    const renewals = await viewer.until<RenewalsCard>(`renewals/${group.groupId}`, (all) => all.length === 1);
    expect(renewals.map(isRecent)).toEqual([true]);
    const [cell] = await viewer.until<GridChunk>(`${key}/grid/0`, (cells) => cells.length === 1);
    expect(isRecent(cell?.[5])).toBe(true);
    const changes = await viewer.until<ChangesView>(`${key}/changes`, (all) => all.length > 0);
    expect(changes.every(({ at }) => isRecent(at))).toBe(true);
    // By a message, too.
    const [renewed = 0] = renewals;
    await viewer.until<RenewalsCard>(`renewals/${group.groupId}`, ([at = 0]) => at > renewed && isRecent(at));
  });

  test("that the server is gone, with the last known state; and that it is back", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const clusterId = freshId();
    await startLeader(own, { clusterId, nodeId: "a" });
    const { url } = await servePage(own.url);
    const viewer = await Viewer.open(url);
    await viewer.until<ClusterCard>(`cluster/${clusterId}`, ({ leader }) => leader === "a");
    await own.stop();
    const out = await viewer.until<AccountView>("account", ({ connected }) => !connected);
    expect(out).toMatchObject({ outSince: expect.any(Number), problem: expect.any(String) });
    expect(viewer.values.has(`cluster/${clusterId}`)).toBe(true);
    await own.start();
    await viewer.until<AccountView>("account", ({ connected, outSince }) => connected && outSince === null);
  });

  test("without a server at the beginning, that there is none", async () => {
    const { url } = await servePage("nats://127.0.0.1:1");
    const viewer = await Viewer.open(url);
    const account = await viewer.until<AccountView>("account", ({ problem }) => problem !== null);
    expect(account).toMatchObject({ connected: false, listed: false });
  });
});

describe("a viewer", () => {
  test("that comes back gets only what it missed", async () => {
    const { url } = await servePage(server.url);
    const first = await Viewer.open(url);
    await first.until<AccountView>("account", ({ listed }) => listed);
    first.close();
    const back = await Viewer.open(url, undefined, first.lastId);
    expect(back.fulls).toBe(0);
    expect((await Viewer.open(url)).fulls).toBe(1);
  });

  test("that reads nothing costs one event, and others get theirs", async () => {
    const { url, page, server: http } = await servePage(server.url);
    const clusterId = freshId();
    const leader = await startLeader(server, { clusterId, nodeId: "a", cooldownMs: 0 });
    const slow = connectTcp(http.port, "127.0.0.1");
    atEnd(() => slow.destroy());
    slow.pause();
    slow.write(`GET /ui/events HTTP/1.1\r\nHost: 127.0.0.1:${http.port}\r\n\r\n`);
    const quick = await Viewer.open(url);
    const key = `cluster/${clusterId}`;
    await quick.until<ClusterCard>(key, ({ epoch }) => epoch === 1);
    for (let epoch = 2; epoch <= 6; epoch++) {
      await leader.node.stepDown();
      await quick.until<ClusterCard>(key, (card) => card.leader === "a" && card.epoch === epoch);
    }
    // The end of the page ends the slow one, too, without waiting for it.
    await page.close();
    await http.close();
    await waitFor(() => quick.ended);
  });

  test("beyond the limit is refused, and admitted when another one has left", async () => {
    const { url } = await servePage(server.url, { maxViewers: 1 });
    const first = await Viewer.open(url);
    const refused = await fetch(`${url}events`);
    await refused.text();
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "10"]);
    expect((await fetch(`${url}events`, { method: "HEAD" })).status).toBe(200);
    first.close();
    const next = await waitFor(() => Viewer.open(url).catch(() => null));
    expect(next.fulls).toBe(1);
  });
});

describe("the answers", () => {
  test("have a strict policy, and their files have no foreign address", async () => {
    const { url } = await servePage(server.url);
    for (const name of ["", "page.js", "page.css", "icon.svg"]) {
      const response = await fetch(url + name);
      expect(response.status).toBe(200);
      const policy = response.headers.get("content-security-policy") ?? "";
      for (const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ])
        expect(policy).toContain(rule);
      expect(policy).not.toContain("unsafe");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      const addresses = (await response.text()).match(/https?:\/\/[^\s"'`]+/g) ?? [];
      // Names of XML, which are not fetched.
      expect(addresses.filter((one) => !one.startsWith("http://www.w3.org/"))).toEqual([]);
    }
    const head = async (name: string, headers: Readonly<Record<string, string>> = {}) =>
      fetch(url + name, { method: "HEAD", headers });
    expect((await head("page.map")).status).toBe(404);
    const etag = (await head("page.js")).headers.get("etag") ?? "";
    expect((await head("page.js", { "if-none-match": etag })).status).toBe(304);
  });

  test("are refused under a name that another site could have chosen", async () => {
    const { server: http } = await servePage(server.url);
    const status = await new Promise<string>((resolve) => {
      const socket = connectTcp(http.port, "127.0.0.1");
      socket.once("data", (data) => {
        resolve(String(data).split("\r\n")[0] ?? "");
        socket.destroy();
      });
      socket.write("GET /ui/ HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    });
    expect(status).toMatch(/^HTTP\/1\.1 421/);
  });
});

describe("control", () => {
  interface Sent {
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
  }

  async function post(url: string, { headers = {}, body = {} }: Sent) {
    const response = await fetch(`${url}control`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: new URL(url).origin, ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return {
      status: response.status,
      answer: (await response.json()) as { ok?: boolean; error?: string; text?: string },
    };
  }

  async function tokenOf(url: string): Promise<string> {
    const html = await (await fetch(url)).text();
    return /name="control-token" content="([^"]+)"/.exec(html)?.[1] ?? "";
  }

  test("is refused without --allow-control, and the page has no token", async () => {
    const { url, log } = await servePage(server.url);
    expect(await tokenOf(url)).toBe("");
    const { status, answer } = await post(url, { body: { action: "step-down" } });
    expect([status, answer.ok]).toEqual([403, false]);
    expect(log).toMatchObject([{ fields: { event: "ui-control", from: "127.0.0.1", ok: false } }]);
    expect((await fetch(`${url}control`, { method: "HEAD" })).status).toBe(405);
  });

  test("takes requests of its own page only, with the name typed, and logs each", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    const { url, page, log } = await servePage(server.url, { control: true });
    await page.start();
    const token = await tokenOf(url);
    const headers = { "x-nats-leader-token": token };
    const body = { action: "step-down", cluster: clusterId, node: "a", confirm: "a" };
    const refused: ReadonlyArray<readonly [Sent, number]> = [
      [{ body }, 403],
      [{ body, headers: { "x-nats-leader-token": `${token}x` } }, 403],
      [{ body, headers: { ...headers, origin: "http://evil.example" } }, 403],
      [{ body, headers: { ...headers, origin: "null" } }, 403],
      [{ body, headers: { ...headers, "sec-fetch-site": "cross-site" } }, 403],
      [{ body, headers: { ...headers, "content-type": "text/plain" } }, 415],
      [{ body: { ...body, confirm: "b" }, headers }, 400],
      [{ body: { ...body, action: "stop" }, headers }, 400],
      [{ body: { ...body, cluster: "a.b" }, headers }, 400],
      [{ body: "[]", headers }, 400],
      [{ body: `{"action":"${"x".repeat(5_000)}"}`, headers }, 400],
      [{ body: { ...body, node: "b", confirm: "b" }, headers }, 409],
    ];
    for (const [index, [sent, status]] of refused.entries()) {
      const refusal = await post(url, sent);
      expect([refusal.status, sent]).toEqual([status, sent]);
      const { error } = refusal.answer;
      expect(error).toMatch(/./);
      // The last one is logged as requested, too.
      const lines = log.filter(({ fields }) => fields["ok"] === false);
      expect(lines).toHaveLength(index + 1);
      expect(lines.at(-1)?.fields).toMatchObject({ event: "ui-control", from: "127.0.0.1", reason: error });
    }
    expect(a.node.isLeader()).toBe(true);
    const before = log.length;
    expect(await post(url, { body, headers })).toMatchObject({ status: 200, answer: { ok: true } });
    await waitFor(() => b.node.isLeader());
    expect(log.slice(before).map(({ fields }) => fields)).toMatchObject([
      { event: "ui-control", action: "step-down", cluster: clusterId, node: "a", from: "127.0.0.1" },
      { ok: true },
    ]);
    expect(JSON.stringify(log)).not.toContain(token);
    const over = { action: "handover", cluster: clusterId, node: "a", confirm: "a" };
    expect(await post(url, { body: over, headers })).toMatchObject({ status: 200 });
    await waitFor(() => a.node.isLeader());
  });

  test("drains a member and lets it rejoin", async () => {
    const group = new RealGroup(server.url, { resources: 4 });
    await group.start("a");
    await group.start("b");
    const { url, page } = await servePage(server.url, { control: true });
    await page.start();
    const headers = { "x-nats-leader-token": await tokenOf(url) };
    const key = `group/${group.groupId}`;
    const viewer = await Viewer.open(url);
    const member = { group: group.groupId, member: "a", confirm: "a" };
    expect(await post(url, { body: { action: "drain", ...member }, headers })).toMatchObject({ status: 200 });
    const drained = await viewer.until<GroupCard>(key, ({ members }) =>
      members.some(({ id, owns }) => id === "b" && owns === 4),
    );
    expect(drained.members.find(({ id }) => id === "a")).toMatchObject({ state: "draining", owns: 0 });
    expect(await post(url, { body: { action: "rejoin", ...member }, headers })).toMatchObject({
      status: 200,
    });
    await viewer.until<GroupCard>(key, ({ members }) => members.every(({ owns }) => owns === 2));
  });
});
