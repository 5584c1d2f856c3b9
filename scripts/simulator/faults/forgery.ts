/**
 * Messages as a client forges them that does not follow the protocol: huge epochs, absurd times, numbers and ids. Each passes the
 * library's own decoder, as every message of a server does.
 */
import { EPOCH_SLACK } from "../../../src/election/epochs.ts";
import type { LeaseEntry } from "../../../src/election/types.ts";
import { decodeEntry } from "../../../src/nats/lease/record-codec.ts";
import type { SeededRandom } from "../../../src/testing/simulation/random.ts";

type Fields = Readonly<Record<string, unknown>>;

const LARGEST = Number.MAX_SAFE_INTEGER;
/** No node ids, incarnations or names of anything. */
const ABSURD_IDS = ["", "*", "a.b", "\u001b[2J", "\u202eevil", "x".repeat(5_000), "a b"] as const;

export interface Forger {
  readonly random: SeededRandom;
  /** The largest epoch that the forger knows of. */
  readonly epoch: number;
  /** Incarnations that are running. */
  readonly incarnations: readonly string[];
}

/** Any message at this revision, for a hint: it may claim to be of a running node, or a release. */
export function forgedHint(forger: Forger, revision: number): LeaseEntry {
  const { random, incarnations } = forger;
  const incarnation = random.pick(incarnations);
  const nonce = random.between(1, 40);
  const epoch = forgedEpoch(forger, revision);
  switch (random.pick(["record", "claim", "release", "deleted", "garbage"] as const)) {
    case "record":
      return forgedRecord(forger, revision);
    case "claim":
      return decoded(revision, { ...plain(epoch), incarnation, nonce });
    case "release":
      return marker(revision, epoch, incarnation, random.chance(0.5) ? random.pick(["a", "b", "c"]) : "");
    case "deleted":
      return marker(revision, null, "", "");
    case "garbage":
      return decoded(revision, null);
  }
}

/** A lease record of no node, with at most one field out of range. No epoch of it is smaller than one that was led with. */
export function forgedRecord(forger: Forger, revision: number): LeaseEntry {
  const { random } = forger;
  const epoch = forgedEpoch(forger, revision);
  const absurd = random.pick<Fields>([
    {},
    {},
    { acquired_at: LARGEST },
    { nonce: LARGEST },
    { ttl_ms: LARGEST },
    { node_id: random.pick(ABSURD_IDS) },
    { incarnation: random.pick(ABSURD_IDS) },
    { session: { server_id: random.pick(ABSURD_IDS), client_id: LARGEST } },
    { session: { server_id: "server", client_id: LARGEST, presence: `stream.${random.pick(ABSURD_IDS)}` } },
  ]);
  return decoded(revision, { ...plain(epoch), incarnation: "evil1", nonce: 1, ...absurd });
}

/** Small, at the limit that a decoder accepts, just above it, or as large as numbers are. */
function forgedEpoch({ random, epoch }: Forger, revision: number): number {
  const next = epoch + random.between(1, 3);
  return random.pick([next, next, revision + EPOCH_SLACK, revision + EPOCH_SLACK + 1, LARGEST, LARGEST]);
}

function plain(epoch: number): Fields {
  return { node_id: "evil", epoch, acquired_at: 1 };
}

function decoded(revision: number, value: Fields | null): LeaseEntry {
  const text = value === null ? "not JSON" : JSON.stringify(value);
  return decodeEntry({ revision, data: new TextEncoder().encode(text), header: () => "" });
}

function marker(revision: number, epoch: number | null, incarnation: string, successor: string): LeaseEntry {
  const fields: Readonly<Record<string, string>> = {
    "KV-Operation": "DEL",
    "Nats-Leader-Epoch": epoch === null ? "" : String(epoch),
    "Nats-Leader-Incarnation": incarnation,
    "Nats-Leader-Successor": successor,
  };
  return decodeEntry({ revision, data: new Uint8Array(0), header: (name) => fields[name] ?? "" });
}
