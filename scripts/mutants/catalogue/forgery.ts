import type { Mutant } from "./mutant.ts";

const HINT = "draft.reads.hinted = Math.max(draft.reads.hinted, entry.revision);";
const SNAPSHOT = "{ generation: draft.bucket.generation, lastSequence: entry.revision, entry }";

/** What forged messages can do: hints that are believed, records with absurd values. */
export const forgeryMutants: readonly Mutant[] = [
  {
    name: "a hint is believed without a read",
    file: "src/election/election.js",
    from: HINT,
    to: `observeSnapshot(draft, ${SNAPSHOT});`,
  },
  {
    name: "a hint raises the epoch that is remembered",
    file: "src/election/election.js",
    from: HINT,
    to: `${HINT} if (entry.kind === "record") draft.lease.highestEpoch = Math.max(draft.lease.highestEpoch, entry.record.epoch);`,
  },
  {
    name: "a hint of a release becomes a write",
    file: "src/election/election.js",
    from: HINT,
    to: `if (entry.kind === "released") { draft.holder.takeoverWait = null; draft.lease.view = { kind: "vacant", revision: entry.revision, lastSequence: entry.revision, epochFloor: entry.epoch, since: draft.now, successor: entry.successor }; } ${HINT}`,
  },
  {
    name: "a hint ends the takeover wait",
    file: "src/election/election.js",
    from: HINT,
    to: `if (entry.kind === "released") draft.holder.takeoverWait = null; ${HINT}`,
  },
  {
    name: "a false hint does not delay the next read",
    file: "src/election/election.js",
    from: "if (forHint && draft.lease.view === view)",
    to: "if (false)",
  },
  {
    name: "hints cause no read",
    file: "src/election/due.js",
    from: "isReady(state) && reads.hinted > 0 && !reads.inFlight",
    to: "false",
    equivalent: "silence causes one: only time is lost (test/election/corners.test.ts)",
  },
  {
    name: "a campaign does not wait for the read that a hint caused",
    file: "src/election/due.js",
    from: "(reads.forHint || lease.disputed",
    to: "(lease.disputed",
    equivalent:
      "the write is refused if the hint was true: only time is lost (test/election/corners.test.ts)",
  },
  {
    name: "a record's epoch may lie any distance above its revision",
    file: "src/nats/lease/record-codec.js",
    from: "if (epoch > most)",
    to: "if (false)",
  },
  {
    name: "a campaign takes an epoch that the others take for garbage",
    file: "src/election/outlook.js",
    from: "return epoch <= maxEpochAt(newestSequence(view) + 1) ? epoch : null;",
    to: "return epoch;",
  },
  {
    name: "a record may claim any TTL",
    file: "src/nats/lease/record-codec.js",
    from: "most: MAX_TTL_MS",
    to: "most: Number.MAX_SAFE_INTEGER",
  },
  {
    name: "an id on the wire may be any text",
    file: "src/nats/record-fields.js",
    from: "if (isId(value))",
    to: 'if (typeof value === "string")',
  },
  {
    name: "a refused release is repeated at once",
    file: "src/election/leader.js",
    from: 'case "conflict": case "unknown": readAtOnce(draft);',
    to: 'case "conflict": return readAtOnce(draft); case "unknown": readAtOnce(draft);',
  },
];
