/** The state in which a member, and what it knows of one key, begins. */
import type { Instant } from "../../election/time.ts";
import type { GroupConfig, Profile } from "./events.ts";
import { listHash } from "./hash.ts";
import { dueQueue, fifo } from "./queues.ts";
import { type GroupState, type KeyReads, NEVER, type ResourceView } from "./state.ts";
import type { GroupKey } from "./types.ts";

const PAST: number = Number.NEGATIVE_INFINITY;

export function keyReads(): KeyReads {
  return { due: false, inFlight: false, atMono: PAST, failures: 0 };
}

export function initialState(config: GroupConfig, profile: Profile, now: Instant): GroupState {
  const state: GroupState = {
    config,
    now,
    effects: [],
    profile,
    refused: new Map(),
    refusesTooMany: false,
    draining: false,
    stopping: null,
    stopped: false,
    link: {
      connected: false,
      binding: null,
      stretch: null,
      stretches: 0,
      lateProofs: null,
      inquiryDue: true,
    },
    bucket: { status: "missing", generation: null, retryAtMono: PAST, failures: 0 },
    own: {
      phase: "none",
      number: 0,
      revision: 0,
      deadline: now,
      promises: false,
      stretch: 0,
      writeAtMono: PAST,
      ended: 0,
      expectedByBegin: 0,
      inFlight: null,
      unsettled: [],
      failures: 0,
      version: 0,
    },
    sessions: new Map(),
    sessionsDueAtMono: NEVER,
    unproven: new Set(),
    freed: new Set(),
    watchVersion: 0,
    resources: new Map(),
    coordinator: resourceView({ kind: "coordinator" }, "", now),
    byOwner: new Map(),
    terms: new Set(),
    listed: [],
    listHash: listHash([]),
    knowing: {
      complete: false,
      sequence: 0,
      ahead: new Map(),
      request: null,
      requestAfter: 0,
      readAtMono: NEVER,
      mustKnow: 0,
      dueFor: 0,
      failures: 0,
      hintsFromMono: PAST,
    },
    plan: {
      revision: 0,
      coordinator: 0,
      writtenBy: "",
      members: [],
      assignment: null,
      proven: true,
      reads: keyReads(),
      write: null,
    },
    targetsDue: true,
    targetsKey: "",
    membersKey: "",
    listVersion: 0,
    planDue: false,
    planAtMono: NEVER,
    changedAtMono: now.mono,
    rewriteAtMono: PAST,
    rewrites: 0,
    wishes: new Map(),
    planTooLarge: false,
    membersDue: false,
    garbageFromMono: Number.NEGATIVE_INFINITY,
    above: 0,
    reached: 0,
    quietUntilMono: PAST,
    lastNonce: 0,
    lastRequest: 0,
    lastQuestion: 0,
    writes: new Map(),
    readsInFlight: new Map(),
    questions: new Map(),
    pace: { window: 1, inFlight: 0, bestMs: NEVER, members: 1 },
    claims: fifo(),
    releases: fifo(),
    moves: fifo(),
    reads: fifo(),
    working: 0,
    claiming: 0,
    leavingTerms: 0,
    due: dueQueue(),
    storeFailing: false,
  };
  return state;
}

export function resourceView(key: GroupKey, name: string, now: Instant): ResourceView {
  return {
    key,
    name,
    spec: null,
    kind: "absent",
    revision: 0,
    owner: null,
    session: 0,
    epoch: 0,
    incarnation: "",
    nonce: 0,
    successor: null,
    position: undefined,
    blockedUntilMono: PAST,
    unownedSinceMono: now.mono,
    target: null,
    term: null,
    write: null,
    adopt: 0,
    adoptSession: 0,
    reads: keyReads(),
    conflicts: 0,
    retryAtMono: PAST,
  };
}
