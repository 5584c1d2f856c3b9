/** Restores streams into a cluster and verifies that they are identical there. */
import type { NatsConnection } from "@nats-io/transport-node";
import { poll } from "../../../src/testing/server/run/wait.ts";
import type { Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import type { StateDir } from "../state.ts";
import { call, type Json, objectOf, streamNames } from "./api.ts";
import { type Contents, differenceOf, readContents } from "./contents.ts";
import { type Journal, writeJournal } from "./journal.ts";
import { refusesReplicas, restoredConfig } from "./kinds.ts";
import { restoreStream } from "./snapshot.ts";
import { durablesOf, progressOf, readInfo, type StreamInfo, sha256 } from "./stream-info.ts";

const CURRENT_MS = 120_000;

/** A stream of the source as it was when its snapshot was taken. */
export interface SavedStream {
  readonly info: StreamInfo;
  /** `null`: the stream was written during the snapshot, so that only the state in the snapshot can be compared. */
  readonly contents: Contents | null;
  /** Folder of the snapshot. */
  readonly dir: string;
  /** The nats-server that took the snapshot, or a newer one of the same cluster. `null`: the backup is from before this was recorded. */
  readonly takenBy: string | null;
}

/** A stream that is complete in the target cluster. */
export interface Copied {
  readonly name: string;
  readonly messages: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly consumers: number;
  readonly replicas: number;
}

export async function refuseTaken(nats: NatsConnection, saved: readonly SavedStream[]): Promise<void> {
  const present = await streamNames(nats);
  const taken = saved.map(({ info }) => info.name).filter((name) => present.includes(name));
  if (taken.length === 0) return;
  throw new DeployError(
    `streams with these names already exist in the cluster: ${taken.join(", ")}. They were not changed: delete them if they are not needed, or use another --state and --port-base`,
  );
}

export async function restore(
  state: StateDir,
  journal: Journal,
  to: {
    readonly nats: NatsConnection;
    readonly saved: readonly SavedStream[];
    /** Minimum number of replicas. */
    readonly replicas: number;
    readonly say: Say;
    readonly signal: AbortSignal;
  },
): Promise<Copied[]> {
  const record = (restoring: readonly string[]): Promise<void> =>
    writeJournal(state, { ...journal, restoring });
  return restoreAll(to, (configured) => Math.max(configured, to.replicas), record);
}

/** As `restore`, into servers that are deleted afterwards: anywhere, with at most `most` replicas. */
export async function restoreToScratch(
  nats: NatsConnection,
  saved: readonly SavedStream[],
  most: number,
  { say, signal }: Progress,
): Promise<Copied[]> {
  const anywhere = saved.map((stream) => {
    const { placement: _, ...config } = stream.info.config;
    return { ...stream, info: { ...stream.info, config } };
  });
  return restoreAll(
    { nats, saved: anywhere, say, signal },
    (configured) => Math.min(configured, most),
    async () => {},
  );
}

interface Progress {
  readonly say: Say;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Rejects with the signal's reason on abort.
 *
 * @param record Called before each change with the names of the streams that are, or are being, restored.
 */
async function restoreAll(
  to: Progress & { readonly nats: NatsConnection; readonly saved: readonly SavedStream[] },
  replicasOf: (configured: number) => number,
  record: (restoring: readonly string[]) => Promise<void>,
): Promise<Copied[]> {
  const restoring: string[] = [];
  const names = to.saved.map(({ info }) => info.name);
  const copied: Copied[] = [];
  for (const stream of to.saved) {
    to.signal?.throwIfAborted();
    const { name } = stream.info;
    const config = restoredConfig(stream.info, names);
    const wanted = { ...config, num_replicas: replicasOf(Number(config["num_replicas"])) };
    // Only towards more replicas: a single server has no other number than one.
    const later = refusesReplicas(stream.info) && wanted.num_replicas > Number(config["num_replicas"]);
    await restoreStream(
      to.nats,
      { dir: stream.dir, config: later ? config : wanted, ...(to.signal && { signal: to.signal }) },
      {
        begun: async () => {
          restoring.push(name);
          await record(restoring);
        },
        refused: async () => {
          restoring.pop();
          await record(restoring);
        },
      },
    );
    if (later) {
      // Only after the consumers exist: a consumer that is created while its stream is scaled up starts from the beginning.
      await consumersAsTheyWere(to.nats, stream, to.signal);
      await call(to.nats, `$JS.API.STREAM.UPDATE.${name}`, wanted, CURRENT_MS);
    }
    const one = await compared(to.nats, stream, to.signal);
    copied.push(one);
    to.say(
      `${name}: verified: ${one.messages} messages, sequences ${one.firstSequence} to ${one.lastSequence}, ${one.consumers} durable consumers; replicas: ${one.replicas}`,
    );
  }
  return copied;
}

/** A cluster creates the consumers after its answer. Resolves in any case; the comparison then reports differences. */
async function consumersAsTheyWere(
  nats: NatsConnection,
  { info, contents }: Pick<SavedStream, "info" | "contents">,
  signal: AbortSignal | undefined,
): Promise<void> {
  await poll(
    async () => {
      const consumers = await readInfo(nats, info.name).then(progressOf, () => undefined);
      return contents === null || sha256(consumers) === sha256(contents.consumers) ? true : undefined;
    },
    { timeoutMs: CURRENT_MS, everyMs: 50, signal },
  );
}

async function compared(
  nats: NatsConnection,
  { info: was, contents }: SavedStream,
  signal: AbortSignal | undefined,
): Promise<Copied> {
  const replicas = await allCurrent(nats, was.name, signal);
  await consumersAsTheyWere(nats, { info: was, contents }, signal);
  const is = await readContents(nats, await readInfo(nats, was.name), signal);
  const difference = contents === null ? stateDiffers(was, is) : differenceOf(contents, is);
  if (difference !== undefined) throw new DeployError(`${was.name} differs after its restore: ${difference}`);
  const { messages, firstSequence, lastSequence } = is;
  return {
    name: was.name,
    messages,
    firstSequence,
    lastSequence,
    consumers: durablesOf(was).length,
    replicas,
  };
}

function stateDiffers(was: StreamInfo, is: Contents): string | undefined {
  const text = (one: Pick<Contents, "messages" | "lastSequence">): string =>
    `${one.messages} messages up to sequence ${one.lastSequence}`;
  return text(was) === text(is) ? undefined : `${text(was)}, now ${text(is)}`;
}

/** The server answers a restore when one replica has the data. Resolves with the number of replicas when all have them. */
async function allCurrent(
  nats: NatsConnection,
  stream: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const allAre = ({ replicas }: Json, wanted: number): boolean => {
    const others = Array.isArray(replicas) ? replicas : [];
    return others.filter((one) => objectOf(one)["current"] === true).length === wanted - 1;
  };
  return untilCluster(nats, stream, "its replicas are not current", allAre, signal);
}

/** Healthy servers may still be electing the stream's leader. */
export async function hasLeader(nats: NatsConnection, stream: string): Promise<void> {
  await untilCluster(nats, stream, "no stream leader", () => true);
}

async function untilCluster(
  nats: NatsConnection,
  stream: string,
  problem: string,
  holds: (cluster: Json, replicas: number) => boolean,
  signal?: AbortSignal,
): Promise<number> {
  let last: unknown = "no answer";
  const replicas = await poll(
    async () => {
      const info = await call(nats, `$JS.API.STREAM.INFO.${stream}`).catch((error: unknown) => {
        last = error instanceof Error ? error.message : error;
      });
      if (info === undefined) return undefined;
      const wanted = Number(objectOf(info["config"])["num_replicas"]);
      // A nats-server before 2.10 that is in no cluster names none.
      if (info["cluster"] === undefined && wanted === 1) return wanted;
      const cluster = objectOf(info["cluster"]);
      last = cluster;
      return cluster["leader"] !== undefined && holds(cluster, wanted) ? wanted : undefined;
    },
    { timeoutMs: CURRENT_MS, everyMs: 50, signal },
  );
  if (replicas !== undefined) return replicas;
  throw new DeployError(`${stream}: ${problem} after ${CURRENT_MS / 1000} s: ${JSON.stringify(last)}`);
}
