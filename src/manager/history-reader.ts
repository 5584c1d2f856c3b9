/** Reads past terms. Creates no consumer and writes nothing. */
import { EPOCH_SLACK } from "../election/epochs.ts";
import { asObject, isJsError, JsCode, parseObject } from "../nats/api/js-api.ts";
import { getMessage } from "../nats/api/stored-message.ts";
import { findStream } from "../nats/api/streams.ts";
import { historyStream } from "../nats/names.ts";
import type { ClusterClient, Situation } from "./cluster-client.ts";
import { commandError } from "./command-error.ts";
import { type HistoryEntry, NO_COURSE, type PastTerm, parseHistoryEntry, termsOf } from "./history-record.ts";

/** Number of messages that are requested concurrently. */
const BATCH_SIZE = 32;

export interface History {
  /** False: no node of this cluster records its terms. */
  readonly recorded: boolean;
  /** Messages that were read and are no records of terms, such as responses of a server that a client misdirected. */
  readonly unreadable: number;
  /** Oldest first, including the present term. */
  readonly terms: readonly PastTerm[];
}

/** @param most maximum number of terms; the newest are returned. */
export async function readHistory(
  client: ClusterClient,
  situation: Situation,
  most: number,
): Promise<History> {
  const read = await readEntries(client, 2 * most + 2);
  const { record, epoch } = situation;
  const running = situation.leader === null ? 0 : epoch;
  const terms = termsOf(read?.entries ?? [], running).filter(
    (term) => term.from !== null || term.until !== null,
  );
  if (record !== null && !terms.some((term) => term.epoch === record.epoch)) {
    terms.push({
      nodeId: record.nodeId,
      epoch: record.epoch,
      from: record.acquiredAt,
      until: null,
      untilAtMost: false,
      why: running === 0 ? "silent" : null,
      ...NO_COURSE,
    });
  }
  return { recorded: read !== null, unreadable: read?.unreadable ?? 0, terms: terms.slice(-most) };
}

/**
 * The largest epoch among the newest records; 0 if there is none. Any user that may record terms could store a huge one: an epoch that no
 * node of a first bucket can have reached does not count.
 */
export async function newestRecordedEpoch(client: ClusterClient): Promise<number> {
  const entries = (await readEntries(client, BATCH_SIZE))?.entries ?? [];
  return Math.max(0, ...entries.map(({ epoch }) => epoch).filter((epoch) => epoch <= EPOCH_SLACK));
}

/** `null` if the stream does not exist. */
async function readEntries(
  client: ClusterClient,
  most: number,
): Promise<{ entries: HistoryEntry[]; unreadable: number } | null> {
  const stream = historyStream(client.clusterId);
  const call = { timeoutMs: client.timeoutMs };
  try {
    const info = await findStream(client.monitor, stream, call);
    if (info === null) return null;
    const state = asObject(info["state"]);
    const first = Number(state?.["first_seq"] ?? 0);
    const last = Number(state?.["last_seq"] ?? 0);
    const found: HistoryEntry[] = [];
    let unreadable = 0;
    for (let seq = Math.max(first, last - most + 1, 1); seq <= last; seq += BATCH_SIZE) {
      const batch = Array.from({ length: Math.min(BATCH_SIZE, last - seq + 1) }, (_, index) => seq + index);
      const messages = await Promise.all(
        batch.map((one) => getMessage(client.monitor, stream, { seq: one }, call)),
      );
      for (const message of messages) {
        const entry = message === null ? null : parseHistoryEntry(parseObject(message.data));
        if (entry !== null) found.push(entry);
        else if (message !== null) unreadable++;
      }
    }
    return { entries: found, unreadable };
  } catch (thrown) {
    // Deleted since it was found.
    if (isJsError(thrown, JsCode.streamNotFound)) return null;
    throw commandError(client.monitor, thrown, `read stream ${stream}`, client);
  }
}
