/** Sessions: how they begin, are suspended, end, and are fenced. */
import { expect, test } from "vitest";
import type { CrashDetection } from "../../../src/election/types.ts";
import { hidesRoutine } from "./play/hides.ts";
import { expectTranscript } from "./play/transcript.ts";
import { type MemberOptions, World } from "./play/world.ts";

function mode(crashDetection: CrashDetection, more: MemberOptions = {}): MemberOptions {
  return {
    ...more,
    config: { crashDetection, silenceMs: crashDetection === "lease" ? 0 : 2_000, ...more.config },
  };
}

test("the first member: a session, claims, a plan", async () => {
  const play = new World("One member finds an empty bucket.", ["r1", "r2"]);
  const a = play.member("a").start();
  play.until(3_100).ask(a);
  await expectTranscript("first-member", play);
});

test("a second member joins: the plan moves half of the resources, once nothing has changed for a while", async () => {
  const play = new World("Member b joins member a.", ["r1", "r2", "r3", "r4"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  play.until(4_000);
  expect(a.ownedNames).toEqual(["r1", "r2"]);
  expect(b.ownedNames).toEqual(["r3", "r4"]);
  await expectTranscript("second-member", play);
});

test("a killed member with a presence: its server confirms, one fence, claims at once", async () => {
  const play = new World("Member a is killed. Its server says that its connection is closed.", ["r1", "r2"]);
  play.hides = hidesRoutine;
  const a = play.member("a", mode("presence")).start();
  play.until(1_000);
  const b = play.member("b", mode("presence")).start();
  play.quietlyUntil(9_000, "they balance");
  play.happens("a is killed", () => a.kill());
  play.until(9_100).ask(b);
  expect(b.ownedNames).toEqual(["r1", "r2"]);
  await expectTranscript("killed", play);
});

test("three members confirm the end of a session at once, the others would later", () => {
  const play = new World("Six members.", ["r"]);
  const names = ["a", "b", "c", "d", "e", "f"];
  const members = names.map((name) => play.member(name, mode("presence")).start());
  play.until(8_000);
  const victim = members[0];
  victim?.kill();
  play.until(8_090);
  const asked = members.filter((member) => member.count("ask") > 0);
  expect(asked).toHaveLength(3);
  play.until(12_000);
  expect(members.filter((member) => member.count("ask") > 0)).toHaveLength(3);
});

test("a vanished member: two equal answers prove its silence", async () => {
  const play = new World("The host of member a vanishes: no connection is closed.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a", mode("silence")).start();
  play.until(1_000);
  const b = play.member("b", mode("silence")).start();
  play.quietlyUntil(9_000, "they balance");
  play.happens("a's host vanishes", () => a.vanish());
  play.until(13_000).ask(b);
  expect(b.ownedNames).toEqual(["r"]);
  await expectTranscript("vanished", play);
});

test("without crash detection the lease is waited out, to the revision", async () => {
  const play = new World("Member a is killed. No record promises anything about connections.", ["r"]);
  play.hides = (what) => hidesRoutine(what) && what.type !== "read";
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  play.quietlyUntil(9_500, "they balance");
  play.happens("a is killed", () => a.kill());
  play.until(21_000).ask(b);
  expect(b.ownedNames).toEqual(["r"]);
  await expectTranscript("lease-expires", play);
});

test("a lost ack of a fence does no harm: the key is read", async () => {
  const play = new World("Member b fences a; the ack is lost.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a", mode("presence")).start();
  play.until(1_000);
  const b = play.member("b", mode("presence")).start();
  play.quietlyUntil(9_000, "they balance");
  b.fate = ({ record }) => (record.kind === "session-end" ? "answer-lost" : "normal");
  b.hears = () => false;
  play.happens("a is killed", () => a.kill());
  play.until(11_000).ask(b);
  expect(b.ownedNames).toEqual(["r"]);
  await expectTranscript("fence-ack-lost", play);
});

test("a renewal that is faster than the fence wins", () => {
  const play = new World("Member a's connection ends and comes back while b's fence is on its way.", ["r"]);
  const a = play.member("a", mode("presence")).start();
  play.until(1_000);
  const b = play.member("b", mode("presence")).start();
  play.until(9_000);
  b.fate = ({ record }) => (record.kind === "session-end" ? { lateMs: 40 } : "normal");
  a.disconnect();
  play.until(9_020);
  a.connect();
  play.until(9_500);
  expect(a.count("session-ended")).toBe(0);
  expect(a.count("resumed")).toBe(1);
  expect(a.ownedNames).toEqual(["r"]);
  expect(b.count("own")).toBe(0);
});

test("a session whose connection ends is suspended, and resumed by a renewal on the next one", async () => {
  const play = new World("Member a reconnects within its lease; no other member is there.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a", mode("presence")).start();
  play.quietlyUntil(5_000, "it owns r");
  play.happens("the connection ends", () => a.disconnect());
  play.until(5_500).ask(a);
  play.happens("the next connection", () => a.connect());
  play.until(5_600).ask(a);
  await expectTranscript("suspended", play);
});

test("a session whose deadline passes ends for good: the next one has a new number, and claims its own keys back", async () => {
  const play = new World("NATS cannot be reached for longer than the lease.", ["r1", "r2"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.quietlyUntil(5_000, "it owns both");
  play.happens("NATS is gone", () => a.disconnect());
  play.until(13_000).ask(a);
  play.happens("NATS is back", () => a.connect());
  play.until(13_100).ask(a);
  await expectTranscript("session-expires", play);
});

test("a frozen member finds its session over, and begins another", async () => {
  const play = new World("Member a stands still for longer than its lease.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  play.quietlyUntil(9_000, "they balance");
  play.happens("a freezes", () => a.freeze());
  play.until(25_000).ask(a, b);
  play.happens("a goes on", () => a.thaw());
  play.until(25_050).ask(a, b);
  expect(b.ownedNames).toEqual(["r"]);
  await expectTranscript("frozen", play);
});

test("a member leaves: its work ends, then its end marker frees everything at once", async () => {
  const play = new World("Member a stops.", ["r1", "r2", "r3", "r4"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.until(1_000);
  const b = play.member("b").start();
  play.quietlyUntil(9_000, "they balance");
  play.happens("stop", () => a.send({ type: "stop", restarting: false }));
  play.until(9_100).ask(b);
  expect(b.ownedNames).toHaveLength(4);
  await expectTranscript("leaves", play);
});

test("while other work still ends, what has ended is released one by one", () => {
  const play = new World("Member a stops; one drain takes long.", ["r1", "r2"]);
  const a = play.member("a", { drainMs: null }).start();
  play.until(1_000);
  const [one, other] = [...a.owned];
  a.send({ type: "stop", restarting: false });
  a.send({ type: "drained", resource: one?.[0] ?? "", epoch: one?.[1] ?? 0 });
  play.until(1_100);
  expect(a.count("released")).toBe(1);
  expect(a.count("stopped")).toBe(0);
  a.send({ type: "drained", resource: other?.[0] ?? "", epoch: other?.[1] ?? 0 });
  play.until(1_200);
  expect(a.count("released")).toBe(2);
  expect(a.count("stopped")).toBe(1);
  expect(play.keys.get("session.a")).toMatchObject({ record: { kind: "session-end", reason: "left" } });
});

test("a restarting member is waited for: its resources stay without an owner, and it gets them back", async () => {
  const play = new World("Member a restarts within rejoinGraceMs.", ["r1", "r2"]);
  play.hides = hidesRoutine;
  const grace = { config: { rejoinGraceMs: 5_000 } };
  const a = play.member("a", grace).start();
  play.until(1_000);
  const b = play.member("b", grace).start();
  play.quietlyUntil(9_000, "they balance");
  play.happens("a stops, restarting", () => a.send({ type: "stop", restarting: true }));
  play.until(11_000).ask(b);
  expect(b.count("own")).toBe(1);
  const again = play.member("a", { config: { ...grace.config, incarnation: "a2" } }).start();
  play.until(11_100).ask(again, b);
  expect(again.ownedNames).toHaveLength(1);
  await expectTranscript("restarts", play);
});

test("a restarting member that does not come back is replaced after the grace", () => {
  const play = new World("Member a does not come back.", ["r1", "r2"]);
  const grace = { config: { rejoinGraceMs: 5_000 } };
  const a = play.member("a", grace).start();
  play.until(1_000);
  const b = play.member("b", grace).start();
  play.until(9_000);
  a.send({ type: "stop", restarting: true });
  play.until(13_900);
  expect(b.ownedNames).toHaveLength(1);
  play.until(14_200);
  expect(b.ownedNames).toHaveLength(2);
});

test("a killed member that is restarted under its id begins by a fence of its predecessor", async () => {
  const play = new World("Member a is killed and started again.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a", mode("presence")).start();
  play.quietlyUntil(5_000, "it owns r");
  play.happens("a is killed", () => a.kill());
  play.until(5_100);
  const again = play.member("a", mode("presence", { config: { incarnation: "a2" } })).start();
  play.until(5_200).ask(again);
  await expectTranscript("restarted", play);
});

test("two processes with one member id: the second waits and warns", () => {
  const play = new World("The same member id twice.", ["r"]);
  const one = play.member("a").start();
  play.until(1_000);
  const other = play.member("a", { config: { incarnation: "a2" } }).start();
  play.until(20_000);
  expect(one.ownedNames).toEqual(["r"]);
  expect(other.count("session-begun")).toBe(0);
  expect(String(play)).toContain("WARNING DUPLICATE_MEMBER_ID");
});

test("a member that is fenced while it is held stops at the message, and names the fencer", async () => {
  const play = new World("Another member has fenced a although a is held: its clock is wrong.", ["r"]);
  play.hides = hidesRoutine;
  const a = play.member("a").start();
  play.quietlyUntil(1_000, "it owns r");
  play.happens("fast fences a", () => {
    const authorship = { memberId: "fast", incarnation: "fast1", nonce: 1, generation: "g1", above: 0 };
    play.put(
      { kind: "session", memberId: "a" },
      { ...authorship, kind: "session-end", of: "a", number: 1, reason: "expired" },
    );
  });
  play.until(1_100).ask(a);
  await expectTranscript("fenced-early", play);
});

test("a member whose round trips become longer than F promises nothing until they are short again, and keeps what it owns", async () => {
  const play = new World("Round trips of 600 ms, F = 500 ms.", ["r"]);
  play.hides = hidesRoutine;
  const short = mode("silence", { config: { silenceMs: 500 } });
  const a = play.member("a", short).start();
  const b = play.member("b", short).start();
  const promise = (): number | undefined => b.state.sessions.get("a")?.record?.session?.silence?.ms;
  play.quietlyUntil(9_000, "a owns r");
  expect([a.held("r"), promise()]).toEqual([true, 500]);
  play.happens("each way between a and its server takes 300 ms from now on", () => {
    a.latencyMs = 300;
  });
  play.until(13_000).ask(a);
  expect([a.held("r"), promise()]).toEqual([true, undefined]);
  play.quietlyUntil(30_000, "a is held, by its lease");
  expect([a.held("r"), a.count("suspended"), a.count("resumed")]).toEqual([true, 1, 1]);
  play.happens("it takes 1 ms again", () => {
    a.latencyMs = 1;
  });
  play.until(35_000).ask(a);
  expect([a.held("r"), a.count("suspended"), promise()]).toEqual([true, 1, 500]);
  expect(a.effects.filter((effect) => effect.type === "warning").length).toBe(1);
  await expectTranscript("slow-round-trips", play);
});
