/** docs/reference.md has every event, code and log event of the sources, and no other. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, expectTypeOf, test } from "vitest";
import { groupOptionsTable } from "../../scripts/build/generated.ts";
import { groupTables, referenceTables, UNIONS, unionMembers } from "../../scripts/build/reference.ts";
import type { ApplicationWarningCode } from "../../src/application/types.ts";
import type { ElectionWarningCode } from "../../src/election/types.ts";
import type { Blocked, DisownReason } from "../../src/group/application/types.ts";
import type { GroupWarningCode } from "../../src/group/core/events.ts";
import type { GroupWarning } from "../../src/group/warning-code.ts";
import type { LossReason, WarningCode } from "../../src/index.ts";
import type { BackendWarningCode } from "../../src/runtime/backend.ts";

const ROOT = join(import.meta.dirname, "../..");
const text = readFileSync(join(ROOT, "docs/reference.md"), "utf8");

function sources(...folders: string[]): string {
  return folders
    .flatMap((folder) =>
      readdirSync(join(ROOT, "src", folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts"))
        .map((file) => readFileSync(join(ROOT, "src", folder, file), "utf8")),
    )
    .join("\n");
}

test.each(Object.entries(referenceTables()))(
  "the table of %s is as generated (npm run generate)",
  (name, table) => {
    expect(text).toContain(`<!-- generated: ${name} -->\n${table}\n<!-- /generated -->`);
  },
);

const groups = readFileSync(join(ROOT, "docs/groups.md"), "utf8");

test.each(Object.entries({ "group-options": groupOptionsTable().trim(), ...groupTables() }))(
  "the table of %s in docs/groups.md is as generated (npm run generate)",
  (name, table) => {
    expect(groups).toContain(`<!-- generated: ${name} -->\n${table}\n<!-- /generated -->`);
  },
);

test("warning codes of a group are those of its core, its application side and its backend", () => {
  expectTypeOf<GroupWarning>().toEqualTypeOf<
    GroupWarningCode | Blocked["code"] | BackendWarningCode | "RESOURCES_FAILED" | "CONNECTION_CLOSED"
  >();
  for (const { name, cause, remedy } of unionMembers("src/group/warning-code.ts", "GroupWarning"))
    expect([name, cause !== "", remedy !== ""]).toEqual([name, true, true]);
});

test("every reason for which a term of a resource ends is explained", () => {
  const reasons: Readonly<Record<DisownReason, true>> = {
    moved: true,
    draining: true,
    unlisted: true,
    refused: true,
    stopped: true,
    expired: true,
    fenced: true,
    superseded: true,
    deleted: true,
  };
  const section = groups.slice(groups.indexOf("| reason |"), groups.indexOf("## Partitions of a stream"));
  const rows = [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, reason]) => reason);
  expect(rows.sort()).toEqual(Object.keys(reasons).sort());
});

test("every event that a group logs is in its table, and every one in the table is logged", () => {
  const logged = [...sources("group").matchAll(/\bevent: "([\w-]+)"/g)].map(([, name = ""]) => name);
  const named = unionMembers("src/group/log-events.ts", "GroupLogEvent").map(({ name }) => name);
  expect([...new Set(logged)].sort()).toEqual(named.sort());
});

test("warning codes are those of the election, the application side and the backend", () => {
  expectTypeOf<WarningCode>().toEqualTypeOf<
    ElectionWarningCode | ApplicationWarningCode | BackendWarningCode
  >();
  for (const { name, cause, remedy } of unionMembers(...UNIONS.warnings)) {
    expect([name, cause !== "", remedy !== ""]).toEqual([name, true, true]);
  }
});

test("every reason of a loss is explained", () => {
  const reasons: Readonly<Record<LossReason, true>> = {
    released: true,
    expired: true,
    superseded: true,
    deleted: true,
    "hook-failed": true,
    stopped: true,
  };
  const section = text.slice(text.indexOf("| reason |"), text.indexOf("## Warnings"));
  const rows = [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, reason]) => reason);
  expect(rows.sort()).toEqual(Object.keys(reasons).sort());
});

test("every error code is thrown somewhere, and none is missing", () => {
  const codes = unionMembers(...UNIONS.errors).map(({ name }) => name);
  const all = sources(".").replace(readFileSync(join(ROOT, "src/errors.ts"), "utf8"), "");
  expect(codes.filter((code) => !all.includes(`"${code}"`))).toEqual([]);
  const thrown = [...all.matchAll(/new ClusterError\(\s*"(\w+)"/g)].map(([, code = ""]) => code);
  expect(thrown.filter((code) => !codes.includes(code))).toEqual([]);
});

test("every event that is logged is in the table, and every one in the table is logged", () => {
  const logged = new Set(
    [...sources("node", "log", "manager", "vip", "http").matchAll(/\bevent: "([\w-]+)"/g)].map(
      ([, name = ""]) => name,
    ),
  );
  expect([...logged].sort()).toEqual(
    unionMembers(...UNIONS.log)
      .map(({ name }) => name)
      .sort(),
  );
});

test("every level in the table is one that the event is logged with", () => {
  const levels = unionMembers(...UNIONS.log).map(({ meaning }) => meaning.split(".")[0]);
  expect(new Set(levels)).toEqual(new Set(["info", "warn", "error"]));
});
