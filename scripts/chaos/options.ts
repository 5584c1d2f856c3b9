/** Command-line arguments of a chaos run. */

import { parseArgs } from "node:util";
import type { CrashDetection } from "../../src/election/types.ts";
import { MIN_MARGIN_MS } from "../../src/inquiry/durations.ts";
import { whyNotWritable } from "../../src/system/output-file.ts";
import { crashDetectionNamed } from "../shared/silence-options.ts";
import { kindOf } from "./faults/catalogue.ts";
import { FAULT_NAMES, type FaultName, faultNamed, groupOf } from "./faults/names.ts";

export interface ChaosOptions {
  readonly faults: number;
  readonly seed: number;
  readonly worlds: number;
  /** Plays only this one of the worlds, from 1. `null`: all. */
  readonly world: number | null;
  /** `null`: both kinds. */
  readonly servers: 1 | 3 | null;
  readonly leaseMs: number;
  /** Of all nodes. `null`: all modes play. */
  readonly crashDetection: CrashDetection | null;
  readonly only: readonly FaultName[];
  readonly json: boolean;
  /** File to write the timeline to. */
  readonly html: string | null;
  /** Folder to keep the recordings of all processes in. */
  readonly keep: string | null;
  readonly list: boolean;
  /** Reports of earlier runs to add up instead of a run. */
  readonly sum: readonly string[];
}

export const USAGE: string = `npm run --silent chaos -- [options]
  --faults N     number of faults over all worlds (200)
  --seed N       decides which faults come, in which world, and with which numbers (1)
  --only NAMES   only these faults, separated by commas; --list prints the names
  --worlds N     number of parallel elections, each with its own servers (5)
  --world N      plays only this one of them, with the faults that it has in a run of all
  --servers 1|3  only worlds with one server, or only clusters of three (both)
  --lease N      leaseTtlMs of the nodes (2000)
  --crash-detection MODE
                 the node option crashDetection of all nodes: presence, silence or lease (all play)
  --json         print only the report, as JSON
  --html FILE    write a timeline of all nodes, terms and faults
  --keep FOLDER  keep the recordings of all processes
  --list         print every fault with its group and description
  --sum FILE...  add up the reports (--json) of several runs instead of running
  --help         print this help`;

/** @throws `Error` that names the invalid argument. */
export function readOptions(args: readonly string[]): ChaosOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      faults: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
      worlds: { type: "string", default: "5" },
      world: { type: "string" },
      servers: { type: "string" },
      lease: { type: "string", default: "2000" },
      "crash-detection": { type: "string" },
      only: { type: "string", default: "" },
      json: { type: "boolean", default: false },
      html: { type: "string" },
      keep: { type: "string" },
      list: { type: "boolean", default: false },
      sum: { type: "boolean", default: false },
    },
  });
  const { servers, html = null, keep = null, json, list } = values;
  if (servers !== undefined && servers !== "1" && servers !== "3")
    throw new Error(`--servers must be 1 or 3, not ${servers}`);
  const unwritable = html === null ? null : whyNotWritable(html);
  if (unwritable !== null) throw new Error(`--html ${html} cannot be written: ${unwritable}`);
  if (values.sum !== positionals.length > 0)
    throw new Error(
      values.sum ? "--sum needs the report files to add up" : `unexpected argument "${positionals[0]}"`,
    );
  const worlds = positive("worlds", values.worlds, 1);
  return {
    faults: positive("faults", values.faults, 1),
    seed: positive("seed", values.seed, 0),
    worlds,
    world: worldOf(values.world, worlds),
    servers: servers === undefined ? null : servers === "1" ? 1 : 3,
    leaseMs: positive("lease", values.lease, 4 * MIN_MARGIN_MS),
    crashDetection: modeNamed(values["crash-detection"]),
    only: names(values.only),
    json,
    html,
    keep,
    list,
    sum: positionals,
  };
}

function positive(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`--${name} must be a whole number of at least ${least}, not ${text}`);
}

function worldOf(text: string | undefined, worlds: number): number | null {
  if (text === undefined) return null;
  const world = positive("world", text, 1);
  if (world > worlds)
    throw new Error(`--world must be at most ${worlds}, the number of --worlds, not ${text}`);
  return world;
}

function modeNamed(text: string | undefined): CrashDetection | null {
  return text === undefined ? null : crashDetectionNamed(text);
}

function names(text: string): FaultName[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map((name) => {
      const found = faultNamed(name);
      if (found !== undefined) return found;
      throw new Error(`--only: unknown fault "${name}"; --list prints the names`);
    });
}

export function listText(): string {
  const width = Math.max(...FAULT_NAMES.map((name) => name.length)) + 2;
  return FAULT_NAMES.map((name) => {
    const { what, needs } = kindOf(name);
    return `${name.padEnd(width)}${groupOf(name).padEnd(9)}${what}${needs === undefined ? "" : ` (${needs} only)`}`;
  }).join("\n");
}
