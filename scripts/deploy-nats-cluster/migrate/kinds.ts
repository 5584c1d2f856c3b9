/** Kinds of streams that a snapshot doesn't have, or not all of. */
import type { Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import { type Json, objectOf } from "./api.ts";
import { durablesOf, isDurable, isInMemory, type StreamInfo, sha256 } from "./stream-info.ts";

/** The streams on disk. Streams and durable consumers in memory are refused, or left behind if that was asked for. */
export function leaveMemory(infos: readonly StreamInfo[], leave: boolean, say: Say): StreamInfo[] {
  const inMemory = infos.filter(({ config }) => config["storage"] === "memory");
  const onDisk = infos.filter((info) => !inMemory.includes(info));
  const consumers = onDisk.flatMap((info) => {
    const lost = info.consumers.filter((one) => isDurable(one) && isInMemory(one));
    return lost.map(({ name }) => `${info.name} > ${name}`);
  });
  const left = [...inMemory.map(({ name }) => name), ...consumers].join(", ");
  if (left === "") return onDisk;
  if (!leave)
    throw new DeployError(
      `kept in memory, which JetStream takes no snapshot of: ${left}. Delete them, or leave them behind with --leave-memory`,
    );
  say(`left behind, because in memory only: ${left}`);
  return onDisk;
}

/** What is copied as it is, and may be another thing than the user expects. */
export function noteOddities(infos: readonly StreamInfo[], say: Say): void {
  const names = new Set(infos.map(({ name }) => name));
  for (const info of infos) {
    const { name, config } = info;
    for (const { name: consumer, config: own } of durablesOf(info)) {
      if (objectOf(own)["num_replicas"] === 1 && config["retention"] === "limits")
        say(
          `note: consumer ${consumer} of ${name} asks for one replica, whatever the stream has, and keeps that`,
        );
    }
    // Mirrors and sources go on by themselves where they can.
    const origins = [config["mirror"], ...((config["sources"] as unknown[] | null) ?? [])].map(objectOf);
    for (const origin of origins) {
      if (origin["name"] === undefined) continue;
      const inside = origin["external"] === undefined && names.has(String(origin["name"]));
      if (!inside)
        say(
          `note: ${name} follows ${origin["name"]}, which is not copied: it goes on if the cluster reaches that`,
        );
    }
  }
}

/**
 * The configuration with which a stream is restored. From 2.15 on one that collects from others knows them by the time
 * they were made, too, which for a restored stream is now: it would collect everything again. Told where to start in a
 * stream that it does not know, it goes on where it was.
 */
export function restoredConfig({ config, sources: progress }: StreamInfo, copied: readonly string[]): Json {
  const sources = config["sources"];
  if (!Array.isArray(sources)) return config;
  const placed = sources.map(objectOf).map((source) => {
    const at = progress.find((one) => originOf(one) === originOf(source))?.["seq"];
    if (typeof at !== "number" || source["external"] !== undefined) return source;
    if (!copied.includes(String(source["name"]))) return source;
    const { opt_start_time: _, ...rest } = source;
    return { ...rest, opt_start_seq: at + 1 };
  });
  return { ...config, sources: placed };
}

/**
 * Whether a restore with more replicas would be refused: the consumers of such a stream have as many as it has, and what
 * they ask for is in the snapshot. It can be given them afterwards, and its consumers with it.
 */
export function refusesReplicas({ config, consumers }: StreamInfo): boolean {
  if (config["retention"] === "limits") return false;
  return consumers.some((one) => Number(objectOf(one["config"])["num_replicas"] ?? 0) > 0);
}

function originOf({ name, external, filter_subject, subject_transforms }: Json): string {
  return sha256([name, external, filter_subject, subject_transforms]);
}
