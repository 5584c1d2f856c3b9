/** A chaos run: all of its worlds at once, each with a folder for its recordings. What runs in a world is not known here. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Servers, type ServersOptions, startServers } from "../servers/servers.ts";
import type { PlayedFault } from "./play-fault.ts";

/** What a run gives to each of its worlds. */
export interface WorldPlace {
  /** From 1. */
  readonly number: number;
  /** For recordings and clock files. */
  readonly folder: string;
  /** When aborted, no further fault begins. */
  readonly signal: AbortSignal;
  /** After each fault from which the world has recovered. */
  readonly onFault: (fault: PlayedFault) => void;
}

export interface RunOptions {
  /** The numbers of the worlds. */
  readonly worlds: readonly number[];
  /** Over all worlds, for the progress on stderr. */
  readonly faults: number;
  /** Folder for the recordings; `null`: a temporary one, which is kept only if the run is not sound. */
  readonly keep: string | null;
}

export interface Run<Report> {
  readonly reports: readonly Report[];
  /** Why worlds have no report. */
  readonly broken: readonly string[];
  readonly seconds: number;
  /** Removes the recordings, unless they show what went wrong. */
  end(isSound: boolean): void;
}

/** SIGINT lets each world finish its present fault. */
export async function runWorlds<Report>(
  { worlds, faults, keep }: RunOptions,
  runWorld: (place: WorldPlace) => Promise<Report>,
): Promise<Run<Report>> {
  const folder = keep ?? mkdtempSync(join(tmpdir(), "nats-leader-chaos-"));
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const began = performance.now();
  let done = 0;
  const placeOf = (number: number): WorldPlace => ({
    number,
    folder: join(folder, String(number)),
    signal: stop.signal,
    onFault: (fault) => {
      done += 1;
      const took = ((fault.settledMs - fault.fromMs) / 1000).toFixed(1);
      process.stderr.write(`${done}/${faults}  world ${number}  ${fault.number} ${fault.name}  ${took} s\n`);
    },
  });
  const places = worlds.map(placeOf);
  for (const place of places) mkdirSync(place.folder, { recursive: true });
  const settled = await Promise.allSettled(places.map(runWorld));
  return {
    reports: settled.flatMap((it) => (it.status === "fulfilled" ? [it.value] : [])),
    broken: settled.flatMap((it, index) =>
      it.status === "rejected" ? [`world ${worlds[index]} gave no report: ${it.reason}`] : [],
    ),
    seconds: Math.round((performance.now() - began) / 1000),
    end(isSound) {
      if (keep !== null) return;
      if (isSound) rmSync(folder, { recursive: true, force: true });
      else process.stderr.write(`the recordings are in ${folder}\n`);
    },
  };
}

/** What a run does with the processes of a world. */
export interface World<Report> {
  begin(): Promise<void>;
  /** One fault after another. Throws if the world does not recover from one. */
  runFaults(): Promise<void>;
  /** `failure`: why it ended before its schedule was complete. */
  end(failure: string | null): Promise<Report>;
  close(): Promise<void>;
}

/** A world from the start of its servers to its report. A world that does not recover gives one, too. */
export async function playWorld<Report>(
  options: ServersOptions,
  worldOn: (servers: Servers) => World<Report>,
): Promise<Report> {
  const servers = await startServers(options);
  try {
    const world = worldOn(servers);
    try {
      let failure: string | null = null;
      try {
        await world.begin();
        await world.runFaults();
      } catch (error) {
        failure = String(error);
      }
      return await world.end(failure);
    } finally {
      await world.close();
    }
  } finally {
    await servers.dispose();
  }
}
