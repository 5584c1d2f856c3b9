/** Options of `bench failover` that contradict each other are refused before anything starts. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readOptions } from "../../scripts/chaos/options.ts";
import { folder } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";
import { ROOT } from "../support/processes/node-command.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const HINT = "(--help lists the arguments and options)\n";

const refused: readonly [args: string, message: string][] = [
  [
    "--mode server-kill --servers 1",
    "--mode server-kill needs --servers 3: while the only server is down there is no election to observe. Omit --servers 1",
  ],
  [
    "--how pause",
    "--how applies to --mode server-kill only, not to --mode kill. Omit it, or add --mode server-kill",
  ],
  [
    "--mode freeze --target turn",
    "--target applies to --mode server-kill only, not to --mode freeze. Omit it, or add --mode server-kill",
  ],
  [
    "--silence-ms 6000",
    "invalid node options:\n  silenceMs 6000 must be at most half of leaseTtlMs 10000 (5000), so that a silent leader is replaced before its lease expires",
  ],
  [
    "--silence-ms=",
    "option '--silence-ms <ms>' argument '' is invalid. Must be a whole number from 0 to 1800000.",
  ],
  [
    "--silence-ms 1e9",
    "option '--silence-ms <ms>' argument '1e9' is invalid. Must be a whole number from 0 to 1800000.",
  ],
  [
    "--chart /nope/x.svg",
    "--chart /nope/x.svg cannot be written: its folder does not exist. Name a file in a folder that exists and can be written",
  ],
  [
    "--server-version newest",
    "option '--server-version <version>' argument 'newest' is invalid. Must be a version such as 2.15.1.",
  ],
];

test.each(refused)("bench failover %s", async (args, message) => {
  const argv = ["bench", "failover", ...args.split(" ")];
  expect(await runHere(argv)).toEqual({ code: 2, stdout: "", stderr: `error: ${message}\n${HINT}` });
  const json = await runHere([...argv, "--json"]);
  expect(JSON.parse(json.stderr)).toEqual({ ok: false, code: "INVALID_USAGE", message, exitCode: 2 });
});

test("a failure of the benchmark is reported without a stack trace", async () => {
  const { code, stderr } = await runHere(["bench", "failover"], { NATS_SERVER: "/nope/nats-server" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^Error: NATS_SERVER: \/nope\/nats-server is not a nats-server: /);
  expect(stderr).not.toMatch(/^ +at /m);
});

test("npm run bench:failover exits with 2 for invalid options, too", async () => {
  await using child = spawnChild(join(ROOT, "scripts/benchmark-failover/main.ts"), {
    args: ["--how", "pause"],
  });
  expect(await child.exit).toEqual({ code: 2, signal: null });
  expect(child.stderr).toContain("error: --how applies to --mode server-kill only");
});

test("a file that cannot be written is named before a run whose result goes there", () => {
  const inside = folder();
  writeFileSync(join(inside, "file"), "");
  mkdirSync(join(inside, "folder.html"));
  expect(() => readOptions(["--html", join(inside, "file/x.html")])).toThrow(
    "cannot be written: its folder is a file",
  );
  expect(() => readOptions(["--html", join(inside, "folder.html")])).toThrow(
    "cannot be written: it is a folder",
  );
  expect(() => readOptions(["--html", join(inside, "missing/x.html")])).toThrow("its folder does not exist");
  expect(readOptions(["--html", join(inside, "x.html")]).html).toBe(join(inside, "x.html"));
});
