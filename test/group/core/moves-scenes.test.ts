/** Terms: how they begin and are given up; the plan and what members make of it. */
import { describe, expect, test } from "vitest";
import { hidesRoutine } from "./play/hides.ts";
import { claimEntry, Solo, sessionEntry } from "./play/solo.ts";
import { expectTranscript } from "./play/transcript.ts";
import { type Member, World } from "./play/world.ts";

const FOUR = ["r1", "r2", "r3", "r4"];

test("moves for balance: at most maxMoves drain at a time, the next when one is released", () => {
  const play = new World(
    "Eight resources, two members.",
    Array.from({ length: 8 }, (_, at) => `r${at}`),
  );
  const a = play.member("a", { drainMs: 100 }).start();
  play.until(1_000);
  play.member("b").start();
  let most = 0;
  for (let ms = 1_000; ms < 6_000; ms += 10) {
    play.until(ms);
    const draining = [...a.state.terms].filter(({ term }) => term?.phase !== "held").length;
    most = Math.max(most, draining);
  }
  expect(most).toBe(2);
  expect(a.ownedNames).toHaveLength(4);
});

test("a drain that never ends keeps the resource: no other member takes it", () => {
  const play = new World("The work of r1 does not end.", FOUR);
  const a = play.member("a", { drainMs: null }).start();
  play.until(1_000);
  const b = play.member("b").start();
  play.until(30_000);
  expect(a.count("drain")).toBe(2);
  expect(a.owned.size).toBe(4);
  expect(b.count("own")).toBe(0);
  for (const [resource, epoch] of [...a.owned]) a.send({ type: "drained", resource, epoch });
  play.until(31_000);
  expect(b.ownedNames).toHaveLength(2);
});

test("a draining member gives everything up, and takes it back after a rejoin", async () => {
  const play = new World("Member a drains and rejoins.", ["r1", "r2"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  play.quietlyUntil(9_000, "they balance");
  play.happens("a drains", () => a.send({ type: "draining", draining: true }));
  play.until(9_100);
  expect(b.ownedNames).toEqual(["r1", "r2"]);
  play.happens("a rejoins", () => a.send({ type: "draining", draining: false }));
  play.until(15_000);
  expect(a.ownedNames).toHaveLength(1);
  await expectTranscript("draining", play);
});

test("a resource that is refused goes to another member, and may come back later", async () => {
  const play = new World("The hook of r fails at member a.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  play.quietlyUntil(5_000, "they balance");
  play.happens("r's hook fails", () => a.send({ type: "refuse", resource: "r", forMs: 2_000 }));
  play.until(9_000).ask(a, b);
  expect(b.ownedNames).toEqual(["r"]);
  await expectTranscript("refused", play);
});

test("a lone member that refuses a resource takes it again after that time", () => {
  const play = new World("No other member.", ["r"]);
  const a = play.member("a").start();
  play.until(1_000);
  a.send({ type: "refuse", resource: "r", forMs: 2_000 });
  play.until(2_900);
  expect(a.ownedNames).toEqual([]);
  play.until(3_100);
  expect(a.ownedNames).toEqual(["r"]);
});

test("more than 16 refusals: the member gives up all others, too, until it rejoins", () => {
  const names = Array.from({ length: 20 }, (_, at) => `r${at}`);
  const play = new World("Twenty hooks.", names);
  const a = play.member("a").start();
  play.until(1_000);
  for (const resource of names.slice(0, 18)) a.send({ type: "refuse", resource, forMs: 1_000 });
  expect(String(play)).toContain("WARNING REFUSES_TOO_MANY");
  expect(String(play).match(/REFUSES_TOO_MANY/g)).toHaveLength(1);
  play.until(5_000);
  expect(a.ownedNames).toEqual([]);
  a.send({ type: "draining", draining: false });
  play.until(6_000);
  expect(a.ownedNames).toHaveLength(20);
});

test("a resource without an owner although its target lives is claimed by another member after a while", async () => {
  const play = new World("Member b's claims do not arrive.", FOUR);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  b.fate = ({ record }) => (record.kind === "claim" ? "lost" : "normal");
  play.until(5_500);
  expect(a.ownedNames).toEqual(FOUR);
  await expectTranscript("unowned", play);
});

test("a plan that claims contradict is repeated, the more rarely the more often it was in vain", () => {
  const play = new World("Member b's claims do not arrive for long.", FOUR);
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  b.fate = ({ record }) => (record.kind === "claim" ? "lost" : "normal");
  play.until(120_000);
  expect(a.count("drain")).toBeLessThan(24);
  b.fate = () => "normal";
  play.until(400_000);
  expect(b.ownedNames).toHaveLength(2);
});

describe("a claim that contradicts the plan, as a message shows it", () => {
  const OF_B = claimEntry(3, "r1", "b", 1);
  const OF_C = claimEntry(4, "r2", "c", 2);

  /** Member a coordinates and takes nothing; r1 of b and r2 of c are as planned. Then a message shows r1 with a claim of this member. */
  function contradicted(owner: string, session: number): Solo {
    const a = new Solo(["r1", "r2"], { profile: { weight: 0 } });
    a.live([sessionEntry(1, "b", null), sessionEntry(2, "c", null), OF_B, OF_C]).wait(100);
    a.applied("coordinator", 6).applied("plan", 7).wait(2_100);
    a.watched(claimEntry(8, "r1", owner, session)).wait(2_100);
    expect(a.sent("plan")).toBeUndefined();
    return a;
  }

  test("a plan for balance waits for an answer, and starts from what it shows", () => {
    const a = contradicted("c", 2);
    a.reads("owner.r1", claimEntry(8, "r1", "c", 2));
    // Member c has both, and b is to get one.
    expect(a.sent("plan")).toMatchObject({ expect: 7 });
  });

  test("a forged one changes nothing", () => {
    const a = contradicted("c", 2);
    a.reads("owner.r1", OF_B, 8).wait(3_000);
    expect(a.sent("plan")).toBeUndefined();
  });

  test("a forged one of a member that is not there repeats nothing", () => {
    const a = contradicted("evil", 7);
    a.reads("owner.r1", OF_B, 8).wait(3_000);
    expect(a.sent("plan")).toBeUndefined();
  });

  test("the plan waits for the answers about all of them", () => {
    const a = contradicted("c", 2).watched(claimEntry(9, "r2", "b", 1));
    a.reads("owner.r1", claimEntry(8, "r1", "c", 2));
    expect(a.sent("plan")).toBeUndefined();
    a.reads("owner.r2", claimEntry(9, "r2", "b", 1));
    // The other way round: no move is needed.
    expect(a.sent("plan")).toMatchObject({ expect: 7 });
  });
});

test("the list of a member: it releases what has left it, and takes what is new", async () => {
  const play = new World("r1 leaves the list, r3 joins it.", ["r1", "r2", "r3"]);
  play.hides = hidesRoutine;
  const a = play.member("a", { resources: ["r1", "r2"] }).start();
  play.quietlyUntil(1_000, "it owns r1 and r2");
  play.happens("the list changes", () =>
    a.send({ type: "resources", resources: [{ name: "r2" }, { name: "r3" }] }),
  );
  play.until(1_100);
  expect(a.ownedNames).toEqual(["r2", "r3"]);
  await expectTranscript("list-changes", play);
});

describe("a resource that is on the list of its owner again once its work has ended, and not in the plan", () => {
  /** Member a coordinates, and cannot write a plan. Returns the resource that it has released at 9 100 ms, without naming a successor. */
  function relisted(play: World, a: Member): string {
    const [mine = ""] = a.ownedNames;
    const both = [{ name: "r1" }, { name: "r2" }];
    a.send({ type: "resources", resources: both.filter(({ name }) => name !== mine) });
    play.until(9_050);
    a.fate = ({ key }) => (key.kind === "plan" ? "lost" : "normal");
    a.send({ type: "resources", resources: both });
    return mine;
  }

  function world(): { play: World; a: Member; b: Member } {
    const play = new World("The list lacks a resource for a moment.", ["r1", "r2"]);
    const a = play.member("a", { drainMs: 100 }).start();
    play.until(1_000);
    const b = play.member("b").start();
    play.until(9_000);
    return { play, a, b };
  }

  test("its owner takes it again", () => {
    const { play, a } = world();
    const before = a.count("released");
    const mine = relisted(play, a);
    play.until(9_110);
    expect(a.count("released")).toBe(before + 1);
    expect(a.ownedNames).toEqual([mine]);
  });

  test("another member does so if it does not, after unownedGraceMs", () => {
    const { play, a, b } = world();
    const mine = relisted(play, a);
    a.fate = ({ record }) => (record.kind === "release" ? "normal" : "lost");
    play.until(10_090);
    expect(play.keys.get(`owner.${mine}`)).toMatchObject({ record: { kind: "release" } });
    play.until(10_300);
    expect(b.ownedNames).toEqual(["r1", "r2"]);
  });
});

test("members with different lists: a warning, and each owns what is on its own", () => {
  const play = new World("Two lists.", ["r1", "r2", "r3"]);
  const a = play.member("a", { resources: ["r1", "r2"] }).start();
  play.until(1_000);
  const b = play.member("b", { resources: ["r2", "r3"] }).start();
  play.until(20_000);
  expect(String(play)).toContain("WARNING LIST_DIFFERS");
  expect(a.ownedNames).toContain("r1");
  expect(b.ownedNames).toContain("r3");
});

test("weight, caps and a weight of 0", () => {
  const play = new World("Member b may own one resource; c none.", FOUR);
  const a = play.member("a").start();
  const b = play.member("b", { profile: { weight: 1, maxOwned: 1 } }).start();
  const c = play.member("c", { profile: { weight: 0, zone: "z" } }).start();
  play.until(10_000);
  expect([a.ownedNames.length, b.ownedNames.length, c.ownedNames.length]).toEqual([3, 1, 0]);
  b.send({ type: "profile", profile: { weight: 3 } });
  play.until(20_000);
  expect([a.ownedNames.length, b.ownedNames.length]).toEqual([1, 3]);
});

test("caps that leave a resource to no member: the owner above its cap gives it up", () => {
  const play = new World("The cap is lowered.", FOUR);
  const a = play.member("a").start();
  play.until(3_000);
  a.send({ type: "profile", profile: { weight: 1, maxOwned: 3 } });
  play.until(20_000);
  expect(a.ownedNames).toHaveLength(3);
});

describe("the coordinator", () => {
  test("a wish moves a resource; only the coordinator takes wishes", async () => {
    const play = new World("r1 is to move to b.", ["r1", "r2"]);
    play.hides = (what) => hidesRoutine(what) && what.type !== "plan";
    const a = play.member("a").start();
    play.until(1_000);
    const b = play.member("b").start();
    play.quietlyUntil(9_000, "they balance");
    const other = b.ownedNames[0] ?? "";
    play.happens("wishes", () => {
      b.send({ type: "move", resource: other, to: "a" });
      a.send({ type: "move", resource: "r9", to: "a" });
      a.send({ type: "move", resource: other, to: "x" });
      a.send({ type: "move", resource: other, to: "a" });
    });
    play.until(9_100);
    expect(play.keys.get(`owner.${other}`)).toBeDefined();
    await expectTranscript("wishes", play);
  });

  test("two deaths at once: the survivors agree without a coordinator, and the next plan changes nothing", () => {
    const play = new World("The coordinator and another member die.", ["r1", "r2", "r3", "r4", "r5", "r6"]);
    const options = { config: { crashDetection: "presence", silenceMs: 2_000 } } as const;
    const members = ["a", "b", "c", "d"].map((name) => play.member(name, options).start());
    play.until(10_000);
    members[0]?.kill();
    members[1]?.kill();
    play.until(10_400);
    const [, , c, d] = members;
    expect((c?.ownedNames.length ?? 0) + (d?.ownedNames.length ?? 0)).toBe(6);
    const drains = (c?.count("drain") ?? 0) + (d?.count("drain") ?? 0);
    play.until(30_000);
    expect((c?.count("drain") ?? 0) + (d?.count("drain") ?? 0)).toBe(drains);
  });

  test("a former coordinator that comes back late writes no plan over that of a later one", () => {
    const play = new World("Two coordinators.", FOUR);
    const a = play.member("a").start();
    play.until(1_000);
    const b = play.member("b").start();
    play.until(9_000);
    a.freeze();
    play.until(30_000);
    const byB = play.keys.get("plan");
    expect(byB).toMatchObject({ record: { memberId: "b" } });
    a.thaw();
    play.until(30_050);
    const written = play.keys.get("plan");
    expect(written).toMatchObject({ record: { memberId: "b" } });
    play.until(60_000);
    expect(a.ownedNames).toHaveLength(2);
    expect(b.ownedNames).toHaveLength(2);
    const last = play.sequence;
    const plan = play.keys.get("plan")?.revision;
    play.until(120_000);
    // Only renewals.
    expect(play.keys.get("plan")?.revision).toBe(plan);
    expect(play.sequence - last).toBeLessThan(50);
  });

  test("garbage in place of the plan is replaced", () => {
    const play = new World("Garbage.", FOUR);
    play.member("a").start();
    play.until(1_000);
    play.garbage({ kind: "plan" });
    play.until(2_000);
    expect(play.keys.get("plan")).toMatchObject({ record: { kind: "plan" } });
    expect(String(play)).toContain("WARNING GARBAGE_RECORD");
    play.purge({ kind: "plan" });
    play.member("b").start();
    play.until(20_000);
    expect(play.keys.get("plan")).toMatchObject({ record: { kind: "plan" } });
  });

  test("a plan that is too large for a message: members place resources on their own", () => {
    const names = Array.from({ length: 40 }, (_, at) => `${"x".repeat(600)}${at}`);
    const play = new World("Too large.", names);
    const a = play.member("a").start();
    play.until(2_000);
    expect(a.ownedNames).toHaveLength(40);
    expect(play.keys.has("plan")).toBe(false);
    const b = play.member("b").start();
    play.until(10_000);
    a.send({ type: "stop", restarting: false });
    play.until(11_000);
    expect(b.ownedNames).toHaveLength(40);
    expect(String(play).match(/PLAN_TOO_LARGE/g)).toHaveLength(2);
  });

  test("a plan that becomes too large does not stay in force", () => {
    const short = ["r1", "r2"];
    const long = [...short, ...Array.from({ length: 40 }, (_, at) => `${"x".repeat(600)}${at}`)];
    const play = new World("It grows.", long);
    const a = play.member("a", { resources: short }).start();
    play.until(2_000);
    a.send({ type: "resources", resources: long.map((name) => ({ name })) });
    play.until(4_000);
    expect(a.ownedNames).toHaveLength(42);
    expect(a.state.plan.assignment).toBeNull();
  });
});

test("a fence frees everything at once, and claims keep to their window", () => {
  const names = Array.from({ length: 30 }, (_, at) => `r${at}`);
  const play = new World("Thirty resources.", names);
  const options = { config: { crashDetection: "presence", silenceMs: 2_000, window: 8 } } as const;
  const a = play.member("a", options).start();
  play.until(1_000);
  const b = play.member("b", options).start();
  const c = play.member("c", options).start();
  play.until(20_000);
  a.kill();
  let most = 0;
  for (let ms = 20_000; ms < 20_200; ms += 1) {
    play.until(ms);
    most = Math.max(most, b.state.pace.inFlight, c.state.pace.inFlight);
  }
  expect(most).toBeGreaterThanOrEqual(4);
  expect(most).toBeLessThanOrEqual(16);
  expect(b.ownedNames.length + c.ownedNames.length).toBe(30);
});
