/** The tables of docs/reference.md, made from the comments in the sources. */
import { readFileSync } from "node:fs";

/** One member of a union: its name and what its comment says. */
export interface Member {
  readonly name: string;
  /** Of an event: `name: type` of each field but `type`. */
  readonly fields: readonly string[];
  readonly meaning: string;
  /** After "Cause:" and "Remedy:", where the comment has them. */
  readonly cause: string;
  readonly remedy: string;
}

const MEMBER =
  /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?\|\s*(?:"([\w-]+)"|\{\s*readonly type: "([\w-]+)";?([^}]*)\})/g;

/** The members of `export type <name> = ...` in a source file. Throws for a member without a comment. */
export function unionMembers(path: string, name: string): Member[] {
  const source = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const start = source.indexOf(`export type ${name} =`);
  const end = source.slice(start).search(/;\n(\n|$)/);
  if (start < 0 || end < 0) throw new Error(`${path} has no union ${name}`);
  return [...source.slice(start, start + end).matchAll(MEMBER)].map((match) => {
    const [, comment, literal, event, rest = ""] = match;
    const member = literal ?? event ?? "";
    if (comment === undefined) throw new Error(`${path}: ${name} "${member}" has no comment`);
    const text = comment.replace(/\s*\n\s*\* ?/g, " ").trim();
    const [meaning = "", afterMeaning = ""] = split(text, "Cause:");
    const [own = "", remedyOfOwn = ""] = split(meaning, "Remedy:");
    const [cause = "", remedy = ""] = split(afterMeaning, "Remedy:");
    const fields = [...rest.matchAll(/readonly (\w+): ([^;]+?)\s*(?:;|$)/g)].map(
      ([, field, type]) => `${field}: ${type}`,
    );
    return { name: member, fields, meaning: own, cause, remedy: remedy === "" ? remedyOfOwn : remedy };
  });
}

/** The options of an interface in a source file, as rows of a table. Throws for one without a comment. */
function optionRows(path: string, name: string): string[][] {
  const source = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const start = source.indexOf(`export interface ${name} {`);
  const body = source.slice(start, source.indexOf("\n}\n", start));
  const members = [...body.matchAll(/(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?readonly (\w+)(\??): ([^;]+);/g)];
  if (start < 0 || members.length === 0) throw new Error(`${path} has no interface ${name}`);
  return members.map(([, comment, option = "", optional, type = ""]) => {
    if (comment === undefined) throw new Error(`${path}: ${name}.${option} has no comment`);
    const [meaning = "", fallback = optional === "?" ? "none" : "required"] = comment
      .replace(/\s*\n\s*\* ?/g, " ")
      .trim()
      .split(/\s*@default /);
    return [`\`${option}\``, type, fallback, meaning.trim()];
  });
}

function split(text: string, at: string): string[] {
  return text.split(at).map((part) => part.trim());
}

export const UNIONS = {
  events: ["src/node/events.ts", "EventBody"],
  warnings: ["src/node/warning-code.ts", "WarningCode"],
  errors: ["src/errors.ts", "ClusterErrorCode"],
  log: ["src/log/events.ts", "LogEvent"],
} as const;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function codeTable(members: readonly Member[]): string {
  return table(
    ["code", "meaning", "cause", "remedy"],
    members.map(({ name, meaning, cause, remedy }) => [
      `\`${name}\``,
      meaning,
      capital(cause),
      capital(remedy),
    ]),
  );
}

function eventTable(members: readonly Member[]): string {
  return table(
    ["type", "fields", "meaning, and when it does not fire"],
    members.map(({ name, fields, meaning }) => [
      `\`${name}\``,
      fields.map((field) => `\`${field}\``).join(", "),
      meaning,
    ]),
  );
}

function logTable(members: readonly Member[]): string {
  const rows = members.map(({ name, meaning }) => {
    const [, level = "", text = ""] = /^(\w+)\. (.*)$/.exec(meaning) ?? [];
    return [`\`${name}\``, level, text];
  });
  return table(["event", "level", "meaning"], rows);
}

/** By the name of the section. */
export function referenceTables(): Readonly<Record<keyof typeof UNIONS, string>> {
  return {
    events: eventTable(unionMembers(...UNIONS.events)),
    warnings: codeTable(unionMembers(...UNIONS.warnings)),
    errors: codeTable(unionMembers(...UNIONS.errors)),
    log: logTable(unionMembers(...UNIONS.log)),
  };
}

/** The tables of docs/groups.md, by the name of the section. */
export function groupTables(): Readonly<Record<string, string>> {
  return {
    "group-events": eventTable(unionMembers("src/group/events.ts", "GroupEventBody")),
    "group-warnings": codeTable(unionMembers("src/group/warning-code.ts", "GroupWarning")),
    "partition-options": table(
      ["option", "type", "default", "meaning"],
      optionRows("src/group/partition-options.ts", "PartitionConsumerOptions"),
    ),
    "group-log": logTable(unionMembers("src/group/log-events.ts", "GroupLogEvent")),
  };
}
