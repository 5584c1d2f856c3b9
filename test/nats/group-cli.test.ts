/** The commands about groups, on a real server. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { deferred, waitFor } from "../../scripts/shared/wait.ts";
import type { GroupChange } from "../../src/manager/group-history.ts";
import type { DryRun, GroupView } from "../../src/manager/group-view.ts";
import { FIRST_SEQUENCE_SINCE, isAtLeast } from "../../src/nats/api/server-version.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { configFile, configFor, folder, start } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Change extends Omit<GroupChange, "at"> {
  readonly at: string;
}

interface History {
  readonly changes: readonly Change[];
  readonly omitted: number;
}

async function group(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return runHere(["group", ...args, "--nats-url", server.url]);
}

async function json<T>(...args: readonly string[]): Promise<T> {
  const { stdout, stderr } = await group(...args, "--json");
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

async function threeMembers(): Promise<RealGroup> {
  const found = new RealGroup(server.url, { resources: 12 });
  for (const id of ["a", "b", "c"]) await found.start(id);
  await found.untilShares({ a: 4, b: 4, c: 4 });
  return found;
}

describe("group", () => {
  test("shows the members, what each owns, and who coordinates", async () => {
    const { groupId } = await threeMembers();
    const view = await json<GroupView>("show", groupId);
    expect(view).toMatchObject({
      groupId,
      owned: 12,
      moving: 0,
      unowned: 0,
      coordinator: expect.stringMatching(/^[abc]$/),
    });
    expect(
      view.members.map(({ memberId, state, owns, planned }) => [memberId, state, owns, planned]),
    ).toEqual([
      ["a", "live", 4, 4],
      ["b", "live", 4, 4],
      ["c", "live", 4, 4],
    ]);
    expect(view.resources.map(({ resource }) => resource)).toEqual(
      Array.from({ length: 12 }, (_, at) => String(at)),
    );
    const text = await group(groupId);
    expect(text.code).toBe(0);
    expect(text.stdout).toContain(`group ${groupId}: 12 resources, 12 owned, 0 moving, 0 unowned`);
    expect(text.stdout).not.toContain("RESOURCE ");
    expect((await group("show", groupId, "--all")).stdout).toMatch(/^11 +[abc] +\d+ +\d+s/m);
  });

  test("lists the groups of the account", async () => {
    const { groupId } = await threeMembers();
    const { stdout, code } = await runHere(["groups", "--nats-url", server.url]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${groupId} +3 +12 +12 +0 +0 +[abc]$`, "m"));
  });

  test("lists resources on request only, and fits a narrow terminal", async () => {
    const { groupId } = await threeMembers();
    const spies = { isTTY: process.stdout.isTTY, columns: process.stdout.columns };
    Object.assign(process.stdout, { isTTY: true, columns: 40 });
    const { stdout } = await group(groupId).finally(() => Object.assign(process.stdout, spies));
    expect(stdout.split("\n").filter((text) => text.length > 40)).toEqual([]);
    expect(stdout).toMatch(/^MEMBER +STATE/m);
    expect(stdout).not.toMatch(/^11 /m);
    expect((await group(groupId, "--resources")).stdout).toMatch(/^11 +[abc] +\d+/m);
  });

  test("says what would move without a member", async () => {
    const { groupId } = await threeMembers();
    const { taken, balanced, shares } = await json<DryRun>("plan", groupId, "--without", "c");
    expect(taken.map(({ from, to }) => [from, to === "a" || to === "b"])).toEqual(Array(4).fill(["c", true]));
    expect(balanced).toEqual([]);
    expect(shares).toEqual([
      { memberId: "a", before: 4, after: 6 },
      { memberId: "b", before: 4, after: 6 },
      { memberId: "c", before: 4, after: 0 },
    ]);
    expect((await group("plan", groupId, "--without", "c")).stdout).toContain("4 taken over at once");
  });

  test("drains a member, lets it rejoin, and moves a resource", async () => {
    const members = await threeMembers();
    const { groupId } = members;
    expect(await group("drain", groupId, "b")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^b owns nothing/),
    });
    expect(members.shares).toMatchObject({ b: 0 });
    expect((await json<GroupView>(groupId)).members[1]).toMatchObject({ state: "draining", owns: 0 });
    expect(await json("rejoin", groupId, "b")).toMatchObject({ ok: true, done: true });
    await members.untilShares({ a: 4, b: 4, c: 4 });
    const owner = members.members.get("a")?.term("0") === null ? "a" : "b";
    expect(await group("move", groupId, "0", owner)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(new RegExp(`^${owner} owns 0 `)),
    });
    expect(members.members.get(owner)?.term("0")).not.toBeNull();
  });

  test("drain goes on waiting while the server is restarted", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const members = new RealGroup(own.url, { resources: 2 });
    const [draining, mayEnd] = [deferred<void>(), deferred<void>()];
    const hooks = {
      onDisown: async () => {
        draining.resolve();
        await mayEnd.promise;
      },
    };
    await members.start("a", { crashDetection: "lease" }, hooks);
    await members.untilShares({ a: 2 });
    const drained = runHere(["group", "drain", members.groupId, "a", "--nats-url", own.url, "--wait", "60s"]);
    await draining.promise;
    await own.stop();
    await own.start();
    mayEnd.resolve();
    expect(await drained).toMatchObject({ code: 0, stdout: expect.stringMatching(/^a owns nothing/) });
  });

  test("what a member was asked that does not answer may still happen, and the error says so", async () => {
    const groupId = freshId("g");
    const args = ["run", "--group", groupId, "--resources", "2", "--node-id", "a"];
    const member = start(
      args.concat("--nats-url", server.url, "--", process.execPath, "-e", "setInterval(() => {}, 1000)"),
    );
    await waitFor(async () => (await group(groupId)).code === 0);
    member.kill("SIGSTOP");
    const { code, stderr } = await group("drain", groupId, "a", "--timeout", "300ms");
    member.kill("SIGCONT");
    expect([code, stderr]).toEqual([4, expect.stringContaining("what was requested may still happen")]);
    // As it says.
    await waitFor(async () => (await json<GroupView>(groupId)).members[0]?.state === "draining");
    member.kill("SIGTERM");
    await member.exit;
  });

  test("history lists the last change of each resource and session, newest first", async () => {
    const members = await threeMembers();
    const { groupId } = members;
    const all = await json<History>("history", groupId, "--limit", "100");
    expect(all.omitted).toBe(0);
    const claims = all.changes.filter(({ what }) => what === "resource");
    expect(claims.map(({ resource }) => Number(resource)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, at) => at),
    );
    expect(new Set(claims.map(({ change }) => change))).toEqual(new Set(["claimed"]));
    expect(all.changes.filter(({ what }) => what === "coordinator")).toMatchObject([{ change: "claimed" }]);
    expect(all.changes.filter(({ what }) => what === "plan")).toMatchObject([{ change: "planned" }]);
    const times = all.changes.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((a, b) => b - a));

    await members.members.get("c")?.stop();
    await members.untilShares({ a: 6, b: 6, c: 0 });
    const ofC = await json<History>("history", groupId, "--member", "c", "--since", "1h");
    expect(ofC.changes).toMatchObject([
      { what: "session", change: "ended", member: "c", reason: "left", by: null },
    ]);
    const one = await json<History>("history", groupId, "--resource", "3", "--resource", "4");
    expect(one.changes.map(({ resource }) => resource).sort()).toEqual(["3", "4"]);
    const text = await group("history", groupId, "-n", "2");
    expect(text.stdout.split("\n")).toEqual([
      expect.stringMatching(/^TIME +WHAT +CHANGE +MEMBER +EPOCH +NOTE$/),
      // A plan may follow the last claim.
      expect.stringMatching(/^20\d\d-.* (?:claimed|planned) +[ab] +\d+$/),
      expect.stringMatching(/^20\d\d-/),
      "",
    ]);
    expect(text.stderr).toMatch(/^\d+ more; --limit lists them$/m);
  });

  test("history --watch prints each change with the owner before, until a signal", async () => {
    const members = await threeMembers();
    const { groupId } = members;
    const args = [
      "group",
      "history",
      groupId,
      "--watch",
      "--json",
      "--interval",
      "50ms",
      "--nats-url",
      server.url,
    ];
    const watch = start<Change>(args);
    await watch.next(({ what }) => what === "resource");
    const moved = [...(members.members.get("c")?.owned.keys() ?? [])];
    await members.members.get("c")?.stop();
    const seen = new Set<string>();
    let isEnded = false;
    while (seen.size < moved.length || !isEnded) {
      const { what, change, member, resource } = await watch.next(
        // The next coordinator claims that, too.
        ({ what, change, from }) =>
          (what === "resource" && change === "claimed" && from === "c") || change === "ended",
      );
      if (what === "session") isEnded = member === "c";
      else {
        expect([change, ["a", "b"].includes(member ?? "")]).toEqual(["claimed", true]);
        seen.add(resource ?? "");
      }
    }
    expect([...seen].sort()).toEqual(moved.sort());
    watch.kill("SIGINT");
    expect((await watch.exit).code).toBe(0);
    expect(await group("history", groupId, "--duration", "200ms", "-n", "1")).toMatchObject({
      code: 0,
      // A plan may follow the last claim.
      stdout: expect.stringMatching(/^20\d\d-\S+ \S+ {2}\S+ (?:claimed|planned) [ab] \d+\n$/),
    });
  });

  test("history shows who has ended the session of a killed member, and what it has lost", async () => {
    const members = new RealGroup(server.url, { resources: 2, rejoinGraceMs: 600_000 });
    await members.start("a", { weight: 0 });
    const { groupId } = members;
    const child = start<{ readonly text?: string }>([
      ...["run", "--group", groupId, "--resources", "2", "--node-id", "b", "--nats-url", server.url],
      ...["--", "sh", "-c", "echo up; while :; do sleep 0.02; done"],
    ]);
    for (let count = 0; count < 2; count++) await child.next(({ text }) => text === "up");
    child.kill("SIGKILL");
    const ended = await waitFor(async () => {
      const { changes } = await json<History>("history", groupId, "--member", "b");
      return changes.find(({ change }) => change === "ended") === undefined ? null : changes;
    });
    const end = { reason: expect.stringMatching(/^(closed|silent|expired)$/), by: "a" };
    expect(ended).toMatchObject([
      { what: "session", change: "ended", member: "b", ...end },
      { what: "resource", change: "lost", member: "b", ...end },
      { what: "resource", change: "lost", member: "b", ...end },
    ]);
  });

  test("names what does not exist", async () => {
    const { groupId } = await threeMembers();
    const noGroup = await group("show", freshId("none"));
    expect([noGroup.code, noGroup.stderr]).toEqual([
      1,
      expect.stringContaining("no member of it has ever run"),
    ]);
    expect(noGroup.stderr).toMatch(/\(this account has the groups? g/);
    expect(await group("show", groupId, "--interval", "1s")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--interval must come with --watch"),
    });
    for (const args of [
      ["plan", groupId, "--without", "x"],
      ["drain", groupId, "x"],
      ["move", groupId, "0", "x"],
    ]) {
      const { code, stderr } = await group(...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining("its members are a, b, c")]);
    }
    for (const [args, message] of [
      [["--member", "x"], 'has never had a member "x"; it has had a, b, c'],
      [["--resource", "99"], 'no resource "99"; it has the 12 resources 0, 1, 2, 3, 4, ...'],
      [["--interval", "1s"], "must come with --watch"],
      [["--limit", "0"], "whole number from 1"],
      [["--since", "yesterday"], "Must be a duration"],
    ] as const) {
      const { code, stderr } = await group("history", groupId, ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
    const noResource = await group("move", groupId, "99", "a");
    expect([noResource.code, noResource.stderr]).toEqual([
      2,
      expect.stringContaining('no resource "99"; it has the 12'),
    ]);
  });

  test("exits 3 when no member is alive", async () => {
    const members = await threeMembers();
    for (const member of members.members.values()) await member.stop();
    const { code, stdout } = await group(members.groupId);
    expect([code, stdout]).toEqual([3, expect.stringContaining("no member is alive")]);
    const view = await json<GroupView>(members.groupId);
    expect(view).toMatchObject({ members: [], owned: 0, unowned: 12, coordinator: null });
  });

  test("exits 3 when all members were killed at once: none is left to end their sessions", async () => {
    const groupId = freshId("g");
    const election = { leaseTtlMs: 2_000, heartbeatIntervalMs: 500 };
    const config = configFile(configFor(server, freshId(), "a", { election }));
    const args = ["run", "--group", groupId, "--resources", "2", "--config", config];
    const program = 'console.log("up"); setInterval(() => {}, 1000)';
    const member = start<{ readonly text?: string }>([...args, "--", process.execPath, "-e", program]);
    await member.next(({ text }) => text === "up");
    await member.next(({ text }) => text === "up");
    member.kill("SIGKILL");
    await waitFor(async () => (await group(groupId)).code === 3);
    expect((await group(groupId)).stdout).toContain(
      "no member is alive: none has renewed its session in time",
    );
    expect(await json<GroupView>(groupId)).toMatchObject({ members: [{ state: "late", owns: 2 }] });
    const { stdout } = await runHere(["groups", "--nats-url", server.url]);
    expect(stdout).toMatch(new RegExp(`^${groupId} +1, 1 late +2 +2 +0 +0 +a$`, "m"));
  });

  test("--watch prints a line for each change until a signal", async () => {
    const members = await threeMembers();
    const { groupId } = members;
    const args = ["group", groupId, "--watch", "--json", "--interval", "100ms", "--nats-url", server.url];
    const watch = start<{ readonly owned?: number; readonly members?: { readonly memberId: string }[] }>(
      args,
    );
    await watch.next(({ members: shown }) => shown?.length === 3);
    await members.members.get("c")?.stop();
    await watch.next(({ owned, members: shown }) => owned === 12 && shown?.length === 2);
    watch.kill("SIGINT");
    expect((await watch.exit).code).toBe(0);
  });
});

describe("run --group", () => {
  const LOOP = 'echo "up $LEADER_RESOURCE $LEADER_MEMBER_ID $LEADER_EPOCH"; while :; do sleep 0.02; done';

  test("runs a program for each resource, moves them, and stops them by a signal", async () => {
    const groupId = freshId("g");
    const run = (id: string): ReturnType<typeof start<{ readonly text?: string }>> =>
      start([
        "run",
        "--group",
        groupId,
        "--resources",
        "4",
        "--node-id",
        id,
        "--nats-url",
        server.url,
        "--",
        "sh",
        "-c",
        LOOP,
      ]);
    const a = run("a");
    const resources = new Set<string>();
    while (resources.size < 4) {
      const { text = "" } = await a.next((line) => line.text?.startsWith("up ") === true);
      const [, resource = "", member] = text.split(" ");
      expect(member).toBe("a");
      resources.add(resource);
    }
    const b = run("b");
    const moved = [];
    for (let count = 0; count < 2; count++)
      moved.push(await b.next((line) => line.text?.startsWith("up ") === true));
    expect(new Set(moved.map(({ text }) => text?.split(" ")[1])).size).toBe(2);
    b.kill("SIGTERM");
    expect((await b.exit).code).toBe(0);
    for (let count = 0; count < 2; count++) await a.next((line) => line.text?.startsWith("up ") === true);
    a.kill("SIGTERM");
    expect((await a.exit).code).toBe(0);
    expect(await json<GroupView>(groupId)).toMatchObject({ members: [], owned: 0 });
  });

  test("takes the options of the group from the configuration, and creates no bucket if that is switched off", async () => {
    const groupId = freshId("g");
    const dir = folder();
    const path = join(dir, "a.json");
    const settings = { id: groupId, resources: ["x", "y"], weight: 3, zone: "z1", createBucket: false };
    const config = { nodeId: "a", nats: { servers: [server.url] }, group: settings };
    writeFileSync(path, JSON.stringify(config));
    const args = ["run", "--config", path, "--weight", "5", "--", "sh", "-c", LOOP];
    const refused = start(args);
    const { code } = await refused.exit;
    expect(code).toBe(1);
    expect(refused.stderr).toContain(`an administrator runs "nats-leader create-bucket --group ${groupId}"`);

    const where = ["--group", groupId, "--nats-url", server.url];
    const made = await runHere(["create-bucket", ...where, "--first-revision", "500"]);
    const canBegin = isAtLeast(server.version, FIRST_SEQUENCE_SINCE);
    expect(made).toMatchObject({
      code: 0,
      stdout: `bucket GROUP_${groupId} created, 1 replica${canBegin ? ", revisions begin at 500" : ""}\n`,
    });
    const again = await runHere(["create-bucket", ...where, "--json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, groupId, created: false });
    const a = start<{ readonly text?: string }>(args);
    const { text = "" } = await a.next((line) => line.text?.startsWith("up ") === true);
    expect(text).toMatch(/^up [xy] a \d+$/);
    expect(Number(text.split(" ")[3])).toBeGreaterThan(canBegin ? 500 : 0);
    expect((await json<GroupView>(groupId)).members).toMatchObject([
      { memberId: "a", weight: 5, zone: "z1" },
    ]);
    a.kill("SIGTERM");
    expect((await a.exit).code).toBe(0);
  });

  test.each([
    ["", /no resources: pass --resources/],
    [" , ", /no resources: pass --resources/],
    ["9999999999", /\b9999999999\b.* a number of partitions from 1 to 100000/],
    ["0", /\b0\b.* a number of partitions from 1 to 100000/],
  ])("run --group --resources %j is a usage error", async (resources, message) => {
    const ran = await runHere(["run", "--group", "g", "--resources", resources, "--", "true"]);
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("ends with 127 for a program that does not exist, and with 2 without resources", async () => {
    const args = ["run", "--group", freshId("g"), "--nats-url", server.url];
    const missing = start([...args, "--resources", "2", "--", "/no/such/program"]);
    expect((await missing.exit).code).toBe(127);
    const none = await runHere([...args, "--", "true"]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("pass --resources")]);
    const alone = await runHere(["run", "--resources", "2", "--nats-url", server.url, "--", "true"]);
    expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining("must come with --group")]);
  });
});
