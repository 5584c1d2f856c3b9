/** What servers answer to CONNZ: `npm run calibrate -- --kinds connz` checks the same facts on other versions. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ConnzFact } from "../../scripts/calibrate/connz/fact.ts";
import { CONNZ_FACTS, calibrateConnz } from "../../scripts/calibrate/connz/facts.ts";
import { inContainers } from "../support/testing/fake-servers.ts";
import { useNatsServer } from "../support/use-server.ts";

/** The checks take seconds, and far longer on a busy machine. */
const TIMEOUT_MS = 180_000;

const server = useNatsServer();

test.skipIf(inContainers).each(CONNZ_FACTS)("$name", { timeout: TIMEOUT_MS }, async (fact) => {
  const found = await calibrateConnz(server.version, [fact]);
  expect(found.mismatches).toEqual([]);
});

test("docs/simulator.md lists every fact, with what the fake must be able to do", () => {
  const doc = readFileSync(new URL("../../docs/simulator.md", import.meta.url), "utf8");
  for (const { name, fake } of CONNZ_FACTS) expect(doc).toContain(`| ${name} | ${fake} |`);
});

describe("a fact fails if", () => {
  const holds: ConnzFact = {
    name: "it rains",
    fake: "",
    must: () => ["a drop"],
    check: async (_version, notes) => notes.saw("a drop"),
  };
  const mismatches = async (fact: ConnzFact) => (await calibrateConnz("2.15.1", [fact])).mismatches;

  test("an answer contradicts it", async () => {
    const check: ConnzFact["check"] = async (version, notes) => {
      await holds.check(version, notes);
      notes.expect(true, "dry");
      for (const sun of [false, false]) notes.expect(sun, "the sun shines");
    };
    expect(await mismatches({ ...holds, check })).toEqual(["nats-server 2.15.1, it rains: the sun shines"]);
  });

  test("what it states was not seen", async () => {
    const check = async (): Promise<void> => {};
    expect(await mismatches({ ...holds, check })).toEqual(["nats-server 2.15.1, it rains: not seen: a drop"]);
  });

  test("its check throws", async () => {
    const check = async (): Promise<void> => {
      throw new Error("no server");
    };
    expect(await mismatches({ ...holds, check })).toEqual([
      "nats-server 2.15.1, it rains: did not run to its end: no server",
      "nats-server 2.15.1, it rains: not seen: a drop",
    ]);
    expect(await mismatches(holds)).toEqual([]);
  });
});
