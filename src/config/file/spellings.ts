/**
 * Other ways to write a setting: those of files that teams have already. Each is read as the setting that it stands for, so that all
 * other code knows one name.
 */
import { show } from "../check.ts";
import { parseServers } from "../servers.ts";
import { monitorList } from "./monitors.ts";
import { get, put, type Tree } from "./tree.ts";

interface Spelling {
  readonly path: string;
  readonly others: readonly string[];
  readonly read: (value: unknown) => unknown;
  /** Equal for two values that mean the same. */
  readonly meaning: (value: unknown) => string;
  /** Completes "name different ...". */
  readonly what: string;
}

export const SPELLINGS: readonly Spelling[] = [
  {
    path: "nats.servers",
    others: ["nats.cluster_urls", "nats.url", "cluster_urls", "url"],
    read: serverList,
    meaning: meaningOfServers,
    what: "servers",
  },
  {
    path: "nats.monitors",
    others: ["nats.nodes", "nodes"],
    read: monitorList,
    meaning: (value) => JSON.stringify(Array.isArray(value) ? value.map(String).sort() : value),
    what: "monitoring ports",
  },
];

export interface Respelled {
  /** By the path of a setting: how the file writes it, if not so. */
  readonly names: ReadonlyMap<string, string>;
  /** By the path of a setting: two ways of writing it that contradict each other. */
  readonly conflicts: ReadonlyMap<string, string>;
}

/** Replaces the other spellings in `values`. */
export function respell(values: Tree): Respelled {
  const names = new Map<string, string>();
  const conflicts = new Map<string, string>();
  for (const { path, others, read, meaning, what } of SPELLINGS) {
    const all = [path, ...others].flatMap((name) => {
      const value = get(values, name);
      return value === undefined ? [] : [{ name, value: read(value) }];
    });
    if (all.length === 0) continue;
    // Templates keep both, and leave one of them empty.
    const filled = all.filter(({ value }) => !(Array.isArray(value) && value.length === 0));
    const [first, ...rest] = filled.length > 0 ? filled : all;
    if (first === undefined) continue;
    for (const { name } of all) if (name !== path) put(values, name, undefined);
    put(values, path, first.value);
    if (first.name !== path) names.set(path, first.name);
    const other = rest.find(({ value }) => meaning(value) !== meaning(first.value));
    if (other !== undefined) {
      conflicts.set(
        path,
        `${first.name} ${show(first.value)} and ${other.name} ${show(other.value)} name different ${what}; keep one of them`,
      );
    }
  }
  return { names, conflicts };
}

/** A list, one text with commas, or a list of such texts. Anything else is kept: validation refuses it and quotes it. */
export function serverList(value: unknown): unknown {
  if (typeof value === "string") return splitList(value);
  if (!Array.isArray(value)) return value;
  return value.flatMap((item: unknown) =>
    typeof item === "string" && item.includes(",") ? splitList(item) : [item],
  );
}

export function splitList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** The order does not matter: a client tries all of them. */
export function meaningOfServers(value: unknown): string {
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) return JSON.stringify(value);
  const { urls, login, problems } = parseServers(value);
  return JSON.stringify(problems.length > 0 ? value : [[...new Set(urls)].sort(), login]);
}
