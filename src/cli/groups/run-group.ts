/** `run --group`: one program for each resource that this host owns. */
import type { LoadedConfig } from "../../config/file/load.ts";
import { convert } from "../../config/file/settings.ts";
import { SHARED_OPTIONS } from "../../config/group-options.ts";
import { ClusterError } from "../../errors.ts";
import { Group } from "../../group/group.ts";
import type { ResourceTerm } from "../../group/term.ts";
import type { Logger } from "../../log/logger.ts";
import { startPatiently } from "../../manager/patient-start.ts";
import type { ProcessDoor } from "../../manager/process-door.ts";
import { cliLogger, logTo } from "../log.ts";
import { configOf } from "../options.ts";
import { ServiceManager } from "../service-manager.ts";
import { beforeTerminalStop, untilSignal } from "../signals.ts";
import { drainTimeoutMs, type ProgramOptions, programOptions } from "../supervise/program-options.ts";
import { ProgramRunner } from "../supervise/program-runner.ts";
import type { GroupRunFlags, RunFlags } from "./run-flags.ts";

/** Exit codes of a program that cannot be run: it could not be for any other resource. */
const CANNOT_RUN: readonly number[] = [126, 127];

/** @throws ClusterError `INVALID_CONFIG` for flags that are of no use without `--group`. */
export function checkNoGroupFlags(flags: GroupRunFlags): void {
  const useless = settingsOf(flags).flatMap(([, flag, value]) => (value === undefined ? [] : [flag]));
  if (useless.length > 0)
    throw new ClusterError("INVALID_CONFIG", `${useless.join(", ")} must come with --group`);
}

/** The flags of a group, as settings. */
function settingsOf(flags: GroupRunFlags): (readonly [path: string, flag: string, value: unknown])[] {
  const { resources, createBucket } = flags;
  return [
    ["group.id", "--group", flags.group],
    ["group.resources", "--resources", resources === undefined ? undefined : convert("resources", resources)],
    ["group.weight", "--weight", flags.weight],
    ["group.zone", "--zone", flags.zone],
    ["group.maxOwned", "--max-owned", flags.maxOwned],
    ["group.settleMs", "--settle", flags.settle],
    ["group.rejoinGraceMs", "--rejoin-grace", flags.rejoinGrace],
    ["group.unownedGraceMs", "--unowned-grace", flags.unownedGrace],
    ["group.maxMoves", "--max-moves", flags.maxMoves],
    ["group.createBucket", "--no-create-bucket", createBucket === false ? false : undefined],
  ];
}

/**
 * The configuration, if this is the run of a group: its id is a flag, or in the configuration that has no cluster id. `null`: it is the
 * run of a node.
 */
export function groupConfigOf(flags: RunFlags): LoadedConfig | null {
  try {
    const loaded = configOf(flags, false, { forCluster: false, settings: settingsOf(flags) });
    const isGroup = loaded.config.group?.id !== undefined && !loaded.origins.has("clusterId");
    return flags.group !== undefined || isGroup ? loaded : null;
  } catch (error) {
    // The run of a node reports its problems together.
    if (flags.group === undefined) return null;
    throw error;
  }
}

export async function runGroup(
  loaded: LoadedConfig,
  command: readonly string[],
  flags: RunFlags,
): Promise<void> {
  const { id: groupId = "", resources, ...options } = loaded.config.group ?? {};
  // The programs of an empty list would never begin.
  if (resources === undefined || (Array.isArray(resources) && resources.length === 0))
    throw new ClusterError(
      "INVALID_CONFIG",
      "no resources: pass --resources with a number of partitions, or with names separated by commas; or set group.resources or NATS_LEADER_RESOURCES",
    );
  const log = cliLogger({
    level: () => flags.logLevel ?? "info",
    json: flags.json === true,
    write: logTo(2),
  });
  const service = new ServiceManager(process.env, log);
  for (const line of loaded.notes) log.warn({}, line);
  const program = programOptions(command, flags, loaded, log);
  const group = new Group({
    ...sharedOptions(loaded, flags),
    groupId,
    memberId: loaded.nodeId ?? undefined,
    resources,
    ...options,
    logger: log,
  });
  const programs = new Programs(group, program);
  const ending = untilSignal(
    (signal) => log.info({ signal }, "Received signal, shutting down..."),
    () => programs.each((one) => one.kill()),
  );
  const ignoreStops = beforeTerminalStop(
    () => programs.each((one) => one.freeze()),
    () => programs.each((one) => one.thaw()),
  );
  let door: ProcessDoor | null = null;
  try {
    service.ready("running");
    door = await openDoor(loaded, group, log);
    door?.observe(group);
    await startGroup(group, flags, ending.signal, log);
    const working = group.runOwned((term) => programs.run(term));
    await untilAny(ending.signal, programs.unusable, working);
    await group.stop();
    await working;
  } catch (error) {
    // A signal during the start.
    if (!ending.signal.aborted) throw error;
  } finally {
    await group.stop();
    await door?.close();
    await service.close();
    ending.close();
    ignoreStops();
  }
  process.exitCode = programs.exitCode;
}

async function startGroup(group: Group, flags: RunFlags, signal: AbortSignal, log: Logger): Promise<void> {
  if (flags.requireNats === true) return group.start({ signal });
  await startPatiently(() => group.start({ signal }), { signal, log });
}

async function openDoor({ http }: LoadedConfig, group: Group, logger: Logger): Promise<ProcessDoor | null> {
  if (http === null) return null;
  const { ProcessDoor } = await import("../../manager/process-door.ts");
  return ProcessDoor.open({ http, groups: [group], logger });
}

/** The programs that run. */
class Programs {
  /** Aborts when the program cannot be run. */
  readonly unusable: AbortSignal;
  exitCode = 0;
  readonly #unusable = new AbortController();
  readonly #group: Group;
  readonly #options: ProgramOptions;
  readonly #runners = new Set<ProgramRunner>();

  constructor(group: Group, options: ProgramOptions) {
    this.#group = group;
    this.#options = options;
    this.unusable = this.#unusable.signal;
  }

  each(act: (runner: ProgramRunner) => void): void {
    for (const runner of this.#runners) act(runner);
  }

  /** Resolves when the program of the term has ended; rejects if it has failed by itself. */
  async run(term: ResourceTerm): Promise<void> {
    const { resource, epoch, groupId, memberId } = term;
    let own: number | null = null;
    const runner = new ProgramRunner({
      ...this.#options,
      fields: { resource },
      onFinished: (code) => {
        own = code;
      },
      onStopped: () => {},
    });
    this.#runners.add(runner);
    runner.begin(term, this.#group, {
      LEADER_RESOURCE: resource,
      LEADER_EPOCH: String(epoch),
      LEADER_GROUP_ID: groupId,
      LEADER_MEMBER_ID: memberId,
    });
    await runner.end();
    this.#runners.delete(runner);
    if (own === null || own === 0) return;
    if (CANNOT_RUN.includes(own)) {
      this.exitCode = own;
      this.#unusable.abort();
    }
    throw new Error(`the program of resource "${resource}" has exited with code ${own}`);
  }
}

/** The options that a member and a node have in common, from the configuration. */
function sharedOptions(loaded: LoadedConfig, { grace }: RunFlags): object {
  const given = SHARED_OPTIONS.map((name) => [name, loaded.nodeOptions[name]] as const);
  return {
    ...Object.fromEntries(given),
    logLevel: undefined,
    drainTimeoutMs: drainTimeoutMs(loaded, grace),
  };
}

/** Resolves when one of them has aborted or settled. */
function untilAny(ending: AbortSignal, unusable: AbortSignal, working: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of [ending, unusable]) {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
    working.then(resolve, () => resolve());
  });
}
