/** Answers that have waited in the socket of a member, while others found its connection closed. */
import { describe, expect, test } from "vitest";
import type { GroupConfig } from "../../../src/group/core/events.ts";
import { Solo } from "./play/solo.ts";
import { type MemberOptions, World } from "./play/world.ts";

const presence: MemberOptions = { config: { crashDetection: "presence", silenceMs: 0 } };
const resource = { type: "resources", resources: [{ name: "r" }] } as const;

describe("with a presence, and a backlog in the socket of a member whose server closes its connection,", () => {
  /** Member a has sent something about r that the server has answered; before a reads the answer, b has the resource. */
  function replaced(fate: "normal" | "answer-lost"): {
    play: World;
    a: World["members"][0];
    b: World["members"][0];
  } {
    const play = new World("Member a has a backlog; its server closes its connection.", ["r"]);
    const a = play.member("a", { ...presence, resources: [] }).start();
    const b = play.member("b", { ...presence, resources: [] }).start();
    play.until(1_000);
    a.fate = ({ record }) => {
      if (record.kind !== "claim") return "normal";
      // With the ack lost, the claim is given up after 1 s, and the key is read.
      play.in(fate === "normal" ? 1 : 1_001, () => a.freeze());
      return fate;
    };
    a.send(resource);
    play.until(5_000);
    expect(a.frozen).toBe(true);
    expect(play.keys.get("owner.r")).toMatchObject({ record: { memberId: "a" } });
    a.cut();
    b.send(resource);
    play.until(7_500);
    expect(b.ownedNames).toEqual(["r"]);
    return { play, a, b };
  }

  test.each(["normal", "answer-lost"] as const)("no term begins after that of another (ack: %s)", (fate) => {
    const { play, a, b } = replaced(fate);
    // It throws where a term begins with a smaller epoch than that of another.
    a.thaw();
    play.until(7_600);
    expect(a.count("own")).toBe(0);
    a.disconnect();
    play.until(7_700);
    a.connect();
    play.until(9_000);
    expect(a.count("own")).toBe(0);
    expect(b.ownedNames).toEqual(["r"]);
  });
});

describe("a claim", () => {
  const binding = { serverId: "s", clientId: 1, presence: "p1", account: "acc" };

  function claiming(options: Partial<GroupConfig>): { a: Solo; claim: ReturnType<Solo["own"]> } {
    const a = new Solo(["r"], { requestTimeoutMs: 3_000, silenceMs: 0, ...options }).live([], binding);
    return { a, claim: a.own("owner.r", 2) };
  }

  test.each([
    ["presence", 0, 1_000],
    ["presence", 1_000, 500],
  ] as const)(
    "with %s and an F of %d ms begins no term on an ack after %d ms, but on the read that follows",
    (crashDetection, silenceMs, ms) => {
      const options = { crashDetection, silenceMs };
      expect(
        claiming(options)
          .a.pass(ms - 1)
          .applied("owner.r", 2).texts,
      ).toContain("OWN r/2");
      const { a, claim } = claiming(options);
      a.pass(ms).applied("owner.r", 2);
      expect(a.count("own")).toBe(0);
      // No other claim is sent until the read has shown what stands there.
      expect(a.sent("owner.r")).toBeUndefined();
      a.reads("owner.r", claim);
      expect(a.texts).toContain("OWN r/2");
    },
  );

  test("begins no term on an answer that has waited, and the key is read again", () => {
    const { a, claim } = claiming({ crashDetection: "presence" });
    a.pass(500).unanswered("owner.r");
    a.pass(1_000).reads("owner.r", claim);
    expect(a.count("own")).toBe(0);
    a.pass(999).reads("owner.r", claim);
    expect(a.texts).toContain("OWN r/2");
  });

  test("begins no term on an ack that has come after a suspension of the machine", () => {
    const { a } = claiming({ crashDetection: "presence" });
    a.now = { ...a.now, boot: a.now.boot + 1_000 };
    a.applied("owner.r", 2);
    expect(a.count("own")).toBe(0);
  });

  test.each(["lease", "silence"] as const)(
    "with %s begins a term on an ack of any age: no closed connection ends its session",
    (crashDetection) => {
      const { a } = claiming({ crashDetection });
      expect(a.pass(2_900).applied("owner.r", 2).texts).toContain("OWN r/2");
    },
  );

  test("of a resource that is not wanted any more is released, however late its ack is", () => {
    const { a } = claiming({ crashDetection: "presence" });
    a.send({ type: "resources", resources: [] });
    a.pass(1_500).applied("owner.r", 2);
    expect(a.isReading("owner.r")).toBe(false);
    expect(a.sent("owner.r")).toMatchObject({ record: { kind: "release" } });
  });
});
