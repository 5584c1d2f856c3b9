/** Handles streams that a snapshot does not contain, or not completely. */
import type { Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import { type Json, objectOf } from "./api.ts";
import { durablesOf, isDurable, isInMemory, type StreamInfo, sha256 } from "./stream-info.ts";

/** The streams on disk. Rejects streams and durable consumers in memory, or skips them if `leave` is true. */
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
      `stored in memory, of which JetStream takes no snapshot: ${left}. Delete them, or skip them with --leave-memory`,
    );
  say(`skipped, because stored in memory: ${left}`);
  return onDisk;
}

/** Prints notes on settings that are copied unchanged and may surprise the user. */
export function noteUnusualSettings(infos: readonly StreamInfo[], say: Say): void {
  const names = new Set(infos.map(({ name }) => name));
  for (const info of infos) {
    const { name, config } = info;
    for (const { name: consumer, config: own } of durablesOf(info)) {
      if (objectOf(own)["num_replicas"] === 1 && config["retention"] === "limits")
        say(
          `note: consumer ${consumer} of ${name} is configured with one replica and keeps one, whatever the stream has`,
        );
    }
    // Mirrors and sources resume without help if they can reach their origin.
    const origins = [config["mirror"], ...((config["sources"] as unknown[] | null) ?? [])].map(objectOf);
    for (const origin of origins) {
      if (origin["name"] === undefined) continue;
      const inside = origin["external"] === undefined && names.has(String(origin["name"]));
      if (!inside)
        say(
          `note: ${name} follows ${origin["name"]}, which is not copied: it resumes only if the cluster can reach that stream`,
        );
    }
  }
}

/**
 * The configuration with which a stream is restored. From nats-server 2.15 on, a stream with sources identifies them by
 * their creation time, too. A restored source has a new creation time, so everything would be collected again. With an
 * explicit start sequence, collection resumes where it was.
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
 * Whether the server would refuse a restore with more replicas: consumers of such a stream must have as many replicas as the
 * stream, and their number is part of the snapshot. The stream and its consumers can be scaled up after the restore.
 */
export function refusesReplicas({ config, consumers }: StreamInfo): boolean {
  if (config["retention"] === "limits") return false;
  return consumers.some((one) => Number(objectOf(one["config"])["num_replicas"] ?? 0) > 0);
}

function originOf({ name, external, filter_subject, subject_transforms }: Json): string {
  return sha256([name, external, filter_subject, subject_transforms]);
}
