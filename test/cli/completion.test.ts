/** Completion in each shell that this machine has: commands, options, and the values of every option. */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bashScript } from "../../src/cli/completion/bash.ts";
import { fishScript } from "../../src/cli/completion/fish.ts";
import { type CommandWords, wordsOf } from "../../src/cli/completion/words.ts";
import { zshScript } from "../../src/cli/completion/zsh.ts";
import { fullProgram } from "../../src/cli/program.ts";
import { serviceName } from "../../src/nats/names.ts";
import { folder } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";

const commands = wordsOf(await fullProgram());

/** A command line, the last word of which is completed, and what must be offered. */
interface Case {
  readonly words: readonly string[];
  readonly offered: readonly string[];
}

/** In the scripts, `nats-leader` is this function: an id, and the arguments that it got. */
const IDS = { "cluster-id": ["c1"], "node-id": ["n1"] } as const;

function valueCases({ path, options, operand }: CommandWords): Case[] {
  const command = path.split(" ");
  const found = options.flatMap(({ long, short, values }): Case[] => {
    if (values === null) return [{ words: [...command, long.slice(0, -1)], offered: [long] }];
    const offered =
      values.kind === "words"
        ? values.words
        : values.kind === "cluster-id" || values.kind === "node-id"
          ? IDS[values.kind]
          : [];
    return [long, ...(short === null ? [] : [short])].map((name) => ({
      words: [...command, name, ""],
      offered,
    }));
  });
  if (operand?.kind === "words") found.push({ words: [...command, ""], offered: operand.words });
  if (operand?.kind === "node-id") found.push({ words: [...command, ""], offered: IDS["node-id"] });
  return found;
}

const CASES: readonly Case[] = [
  { words: ["st"], offered: ["status", "stepdown"] },
  { words: ["config", ""], offered: ["check", "schema"] },
  { words: ["help", "tr"], offered: ["transfer"] },
  ...commands.flatMap(valueCases).filter(({ offered }) => offered.length > 0),
];

function has(shell: string): boolean {
  return spawnSync(shell, ["-c", "exit 0"]).status === 0;
}

const STUB =
  'nats-leader() { case "$*" in *"--ids cluster-id"*) echo c1 ;; *"--ids node-id"*) echo n1 ;; esac; }';
const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(" ");

/** Runs one script in the shell that prints, for each case, its completions and an empty line. */
function completions(shell: string, script: string, call: (words: readonly string[]) => string): string[][] {
  const file = join(folder(), `completion.${shell}`);
  writeFileSync(file, [script, ...CASES.map(({ words }) => `${call(words)}\necho ---`)].join("\n"));
  const output = execFileSync(shell, shell === "zsh" ? ["-f", file] : [file], {
    encoding: "utf8",
    maxBuffer: 2 ** 25,
  });
  return output.split("---\n").map((text) => text.split("\n").filter((line) => line !== ""));
}

function expectOffered(found: readonly (readonly string[])[]): void {
  for (const [index, { words, offered }] of CASES.entries()) {
    expect([words, found[index]]).toEqual([words, expect.arrayContaining([...offered])]);
  }
}

describe("completion", () => {
  test("knows the values of every option that takes some", () => {
    const free = commands.flatMap(({ path, options }) =>
      options.filter(({ values }) => values?.kind === "none").map(({ long }) => `${path} ${long}`),
    );
    // Any text: an address, a name, a version.
    expect(
      free.filter(
        (one) =>
          !/address|allow-host|--bucket$|domain|--http$|listen|--permissions$|--stream$|--resource$|user|inbox-prefix|server-version|zone/.test(
            one,
          ),
      ),
    ).toEqual([]);
  });

  test("offers network interfaces for the virtual IP only", () => {
    const found = commands.flatMap(({ path, options }) =>
      options.filter(({ values }) => values?.kind === "interface").map(({ long }) => `${path} ${long}`),
    );
    expect(found).toEqual(["init --vip-interface"]);
  });

  test.runIf(has("bash"))("in bash", () => {
    const script = `${bashScript(commands)}\n${STUB}\ncompopt() { :; }`;
    expectOffered(
      completions("bash", script, (words) => {
        const last = words.length;
        return `COMP_WORDS=(nats-leader ${quoted(words)}); COMP_CWORD=${last}; COMPREPLY=(); _nats_leader; printf '%s\\n' "\${COMPREPLY[@]}"`;
      }),
    );
  });

  test.runIf(has("zsh"))("in zsh", () => {
    // Outside of a completion widget, its functions are replaced: they print what they would offer.
    const builtins = [
      "compdef() { :; }",
      "compset() { :; }",
      "_files() { :; }; _message() { :; }; _net_interfaces() { :; }; _command_names() { :; }; _normal() { :; }",
      'compadd() { shift; local one; for one in "$@"; do [[ $one == $PREFIX* ]] && print -r -- $one; done }',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: zsh
      "_describe() { local one; for one in ${(P)2}; do [[ $one == $PREFIX* ]] && print -r -- ${one%%:*}; done }",
    ].join("\n");
    expectOffered(
      completions(
        "zsh",
        `${builtins}\n${zshScript(commands)}\n${STUB}`,
        (words) =>
          `words=(nats-leader ${quoted(words)}); CURRENT=${words.length + 1}; PREFIX=$words[-1]; _nats_leader`,
      ),
    );
  });

  test.runIf(has("fish"))("in fish", () => {
    const stub = `function nats-leader
  switch "$argv"
    case "*--ids cluster-id*"; echo c1
    case "*--ids node-id*"; echo n1
  end
end`;
    expectOffered(
      completions(
        "fish",
        `${fishScript(commands)}\n${stub}`,
        (words) => `complete -C ${quoted([`nats-leader ${words.join(" ")}`])} | string split -f1 \\t`,
      ),
    );
  });

  test.runIf(has("bash"))(
    "in bash leaves what follows -- of run to the shell, and takes --option=value apart",
    () => {
      const call = (words: readonly string[]): string => {
        const line = `COMP_WORDS=(nats-leader ${quoted(words)}); COMP_CWORD=${words.length}; COMPREPLY=(); _nats_leader`;
        const script = `${bashScript(commands)}\n${STUB}\ncompopt() { :; }\n${line}; echo "\${COMPREPLY[@]}"`;
        return execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim();
      };
      expect(call(["run", "--", "worker", "--log-l"])).toBe("");
      expect(call(["run", "--log-level", "=", "de"])).toBe("debug");
      expect(call(["run", "--log-level", "="])).toBe("debug info warn error silent");
    },
  );
});

describe("ids for completion", () => {
  const server = useNatsServer();

  test("are those of the clusters and nodes that answer, and nothing that a shell would expand", async () => {
    const clusterId = freshId();
    const { connection } = await operatorOf(server, clusterId);
    const names = ["a", "$(touch x)", "`id`", "b;c", "a", "b"];
    for (const subject of ["$SRV.PING", `$SRV.INFO.${serviceName(clusterId)}`]) {
      connection.subscribe(subject, {
        callback: (_error, message) => {
          for (const [index, node] of names.entries()) {
            const name = index === 1 ? serviceName("$(touch x)") : serviceName(clusterId);
            message.respond(JSON.stringify({ name, id: `X${index}`, version: "1.0.0", metadata: { node } }));
          }
        },
      });
    }
    await connection.flush();
    const ask = async (kind: string, words: readonly string[]): Promise<string> =>
      (await runHere(["completion", "bash", "--ids", kind, "--", ...words])).stdout;
    expect(await ask("node-id", ["transfer", "--cluster-id", clusterId, "-s", server.url, ""])).toBe(
      "a\nb\n",
    );
    expect(
      await ask("node-id", [
        "stepdown",
        `--cluster-id=${clusterId}`,
        "--nats-url",
        "=",
        server.url,
        "--to",
        "",
      ]),
    ).toBe("a\nb\n");
    expect(await ask("cluster-id", ["nodes", "-s", server.url, "--cluster-id", "x y"])).toBe(
      `${clusterId}\n`,
    );
  });

  test("without a server there are none, and no error", async () => {
    const args = ["completion", "bash", "--ids", "cluster-id", "--", "nodes", "-s", "nats://127.0.0.1:1", ""];
    expect(await runHere(args)).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});
