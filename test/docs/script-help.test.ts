/** Every script of package.json prints its options with --help, exits with 0, and does nothing else. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { helpText } from "../../scripts/shared/arguments.ts";
import { documents } from "../support/docs/blocks.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Their options are those of their commands. */
const HAS_COMMANDS = ["deploy-nats-cluster", "monitor-nats-cluster"];
const names = readdirSync(join(ROOT, "scripts")).filter((name) =>
  existsSync(join(ROOT, "scripts", name, "main.ts")),
);

interface Help {
  readonly file: string;
  readonly code: number;
  readonly stdout: string;
}

let helps: readonly Help[] = [];
beforeAll(async () => {
  await using child = spawnChild<Help>(join(ROOT, "test/support/docs/children/script-help.ts"), {
    args: names.map(fileOf),
  });
  expect(await child.exit, child.stderr).toEqual({ code: 0, signal: null });
  helps = [...child.lines];
}, 120_000);

function fileOf(name: string): string {
  return join(ROOT, "scripts", name, "main.ts");
}

test.each(names)("%s", (name) => {
  const { code, stdout } = helps.find(({ file }) => file === fileOf(name)) ?? { code: "not run", stdout: "" };
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Usage: |npm run/m);
  if (HAS_COMMANDS.includes(name)) return;
  const [head = ""] = readFileSync(fileOf(name), "utf8").split("*/");
  const named = [...head.matchAll(/(?<!\w)--([a-z][a-z-]+)/g)].map(([, option = ""]) => option);
  expect(named.filter((option) => option !== "silent" && !stdout.includes(`--${option}`))).toEqual([]);
});

test("the documents use no other script and no other option", () => {
  const scripts = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).scripts as Record<
    string,
    string
  >;
  const used = documents().flatMap((file) =>
    [
      ...readFileSync(join(ROOT, file), "utf8").matchAll(
        /npm run (?:--silent )?([a-z][\w-]*(?::\w+)*)(?![\w:*])(?: -- ([^`#\n]*))?/g,
      ),
    ].map(([line, script = "", rest = ""]) => ({ where: `${file}: ${line}`, script, rest })),
  );
  expect(used.length).toBeGreaterThan(40);
  const unknown = used.filter(({ script, rest }) => {
    const command = scripts[script];
    if (command === undefined) return true;
    const [, name = ""] = /(?:run-compiled\.mjs |scripts\/)([\w-]+)(?:\/main\.ts)?$/.exec(command) ?? [];
    const help = helps.find(({ file }) => file === fileOf(name));
    const options = [...rest.matchAll(/(?<=^|\s)--([a-z][a-z-]*)/g)].map(([, option = ""]) => option);
    if (help === undefined || HAS_COMMANDS.includes(name)) return false;
    return options.some((option) => !help.stdout.includes(`--${option}`));
  });
  expect(unknown.map(({ where }) => where)).toEqual([]);
});

test("the help has every option with its value, text and default", () => {
  const text = helpText(["npm run x --", "Does x."], {
    rounds: { type: "string", default: "5", value: "n", help: "number of rounds" },
    json: { type: "boolean", default: false, help: "print JSON" },
  });
  expect(text).toBe(
    [
      "Usage: npm run x -- [options]",
      "",
      "Does x.",
      "",
      "Options:",
      "  --rounds <n>  number of rounds (default: 5)",
      "  --json        print JSON",
      "  -h, --help    print this help",
    ].join("\n"),
  );
});
