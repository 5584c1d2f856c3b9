/** The fenced code blocks of the documents. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../processes/node-command.ts";

export interface Block {
  /** Relative to the repository. */
  readonly file: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /** From the comment in the line above, `<!-- not run: REASON -->`. */
  readonly notRun: string | null;
}

/** README.md, CONTRIBUTING.md, docs, the documents of the models and the README of every example. */
export function documents(): string[] {
  const markdownIn = (folder: string, recursive = false): string[] =>
    readdirSync(join(ROOT, folder), { recursive, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => `${folder}/${name}`)
      .sort();
  return [
    "README.md",
    "CONTRIBUTING.md",
    ...markdownIn("model"),
    ...markdownIn("docs"),
    ...markdownIn("examples", true),
  ];
}

export function documentBlocks(): Block[] {
  return documents().flatMap((file) => blocksOf(file, readFileSync(join(ROOT, file), "utf8")));
}

export function blocksOf(file: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const [, indent = "", fence, language = ""] = /^( *)(`{3,})(\S*)/.exec(lines[at] ?? "") ?? [];
    if (fence === undefined) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === fence);
    if (end < 0) throw new Error(`${file}:${at + 1}: this block has no end`);
    const code = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
    const [, notRun = null] = /<!-- not run: (.+) -->$/.exec(lines[at - 1] ?? "") ?? [];
    blocks.push({ file, line: at + 1, language, code: code.join("\n"), notRun });
    at = end;
  }
  return blocks;
}

/** The block of a document whose first line begins with `first`. */
export function blockOf(file: string, first: string): Block {
  const found = documentBlocks().filter((block) => block.file === file && block.code.startsWith(first));
  const [block] = found;
  if (block === undefined || found.length > 1)
    throw new Error(`${file} has ${found.length} blocks that begin with "${first}", not one`);
  return block;
}

/** The commands of a shell block: continued lines joined, without comments and output. */
export function commandsOf({ code }: Pick<Block, "code">): string[] {
  return code
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");
}
