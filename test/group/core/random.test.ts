/**
 * Random faults against several members. `scripts/simulator` does this on all layers and for longer; here it is the core alone, so that a
 * mistake shows within seconds. The world throws if two members are held, or if an epoch does not increase.
 */
import { expect, test } from "vitest";
import type { CrashDetection } from "../../../src/election/types.ts";
import type { GroupWrite } from "../../../src/group/core/types.ts";
import type { Fate, Member } from "./play/world.ts";
import { World } from "./play/world.ts";

const SEEDS = Number(process.env["GROUP_CORE_SEEDS"] ?? 60);
const FIRST = Number(process.env["GROUP_CORE_FIRST"] ?? 1);

function randomOf(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 0x1_0000_0000;
  };
}

const MODES: readonly CrashDetection[] = ["lease", "presence", "silence"];

function play(seed: number): World {
  const random = randomOf(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const world = new World(`seed ${seed}`, ["r1", "r2", "r3", "r4", "r5"]);
  world.hides = () => process.env["GROUP_CORE_TRACE"] === undefined;
  const crashDetection = MODES[seed % 3] ?? "lease";
  const incarnations = new Map<string, number>();
  let faults = true;
  const fate = (_write: GroupWrite): Fate => {
    if (!faults || random() > 0.1) return "normal";
    const kind = below(3);
    return kind === 0 ? "lost" : kind === 1 ? "answer-lost" : { lateMs: below(4_000) };
  };
  const start = (name: string): Member => {
    const number = (incarnations.get(name) ?? 0) + 1;
    incarnations.set(name, number);
    const silenceMs = crashDetection === "lease" ? 0 : 2_000;
    const incarnation = `${name}${number}`;
    const rejoinGraceMs = seed % 4 === 0 ? 1_500 : 0;
    const member = world.member(name, {
      config: { incarnation, crashDetection, silenceMs, rejoinGraceMs },
      drainMs: below(300),
    });
    member.fate = fate;
    member.hears = () => !faults || random() > 0.02;
    return member.start();
  };
  const names = ["a", "b", "c"].slice(0, 2 + (seed % 2));
  const living = new Map<string, Member>(names.map((name) => [name, start(name)]));
  for (let round = 0; round < 25; round += 1) {
    world.until(world.now.mono + below(1_500));
    const name = names[below(names.length)] ?? "a";
    const member = living.get(name);
    if (member === undefined) continue;
    if (!member.alive || member.state.stopped) {
      if (below(2) === 0) living.set(name, start(name));
      continue;
    }
    switch (below(12)) {
      case 0:
        member.kill();
        break;
      case 1:
        member.vanish();
        break;
      case 2:
        member.send({ type: "stop", restarting: below(2) === 0 });
        break;
      case 3:
      case 4:
        if (member.connected) member.disconnect();
        else member.connect();
        break;
      case 5:
        member.send({ type: "draining", draining: below(2) === 0 });
        break;
      case 6:
        member.send({ type: "refuse", resource: `r${1 + below(5)}`, forMs: below(3_000) });
        break;
      case 7:
        member.send({ type: "profile", profile: { weight: below(3), maxOwned: 1 + below(5) } });
        break;
      case 8:
        if (member.frozen) member.thaw();
        else member.freeze();
        break;
      case 9:
        member.muted = !member.muted;
        break;
      case 10:
        // A second process with the same id.
        living.set(name, start(name));
        break;
      default:
        member.send({ type: "move", resource: `r${1 + below(5)}`, to: names[below(names.length)] ?? "a" });
    }
  }
  faults = false;
  for (const member of world.members) {
    member.muted = false;
    if (member.frozen) member.thaw();
  }
  for (const name of names) {
    const member = living.get(name);
    if (member === undefined || !member.alive || member.state.stopped) living.set(name, start(name));
  }
  for (const member of world.members) {
    if (!member.alive || member.state.stopped) continue;
    if (!member.connected) member.connect();
    member.send({ type: "draining", draining: false });
    member.send({ type: "profile", profile: { weight: 1 } });
  }
  world.until(world.now.mono + 45_000);
  return world;
}

test(`random faults: never two owners, and in the end every resource has one (seeds ${FIRST} to ${FIRST + SEEDS - 1})`, () => {
  for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
    let world: World | null = null;
    try {
      world = play(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    if (process.env["GROUP_CORE_TRACE"] !== undefined) console.log(String(world));
    for (const resource of world.resources) {
      const owners = world.members.filter((member) => member.held(resource)).map(({ name }) => name);
      expect(owners, `seed ${seed}, ${resource}`).toHaveLength(1);
    }
    const living = world.members.filter(({ alive, state }) => alive && !state.stopped);
    for (const member of living) {
      const { pace, readsInFlight, working, leavingTerms, terms } = member.state;
      expect(pace.inFlight, `seed ${seed}, ${member.name}`).toBe(0);
      expect(readsInFlight.size).toBe(0);
      expect(leavingTerms).toBe(0);
      expect(working).toBe(terms.size);
    }
  }
});
