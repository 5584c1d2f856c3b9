/** What the commands print about records, answers, entries and errors, on terminals of all sizes and on pipes. */
import fc from "fast-check";
import { cliLogger } from "../../../src/cli/log.ts";
import { ChangeTexts } from "../../../src/cli/render/change-text.ts";
import { examinationJson, reportLines, reportScreen } from "../../../src/cli/render/doctor-report.ts";
import { errorLines } from "../../../src/cli/render/error-lines.ts";
import type { ScreenSize } from "../../../src/cli/render/fit-screen.ts";
import { historyTable } from "../../../src/cli/render/history-table.ts";
import { nodeTable } from "../../../src/cli/render/node-table.ts";
import { statusLines } from "../../../src/cli/render/status-lines.ts";
import { type Line, MAX_COLUMNS, safeLines, showLine, widthOf } from "../../../src/cli/render/text.ts";
import { watchScreen } from "../../../src/cli/render/watch-screen.ts";
import type { Examination } from "../../../src/doctor/doctor.ts";
import { unknownServer } from "../../../src/doctor/sources/read-server.ts";
import { printable } from "../../../src/log/printable.ts";
import type { NodeRow } from "../../../src/manager/cluster-nodes.ts";
import type { ClusterStatus } from "../../../src/manager/cluster-status.ts";
import type { Change } from "../../../src/manager/cluster-watch.ts";
import type { PastTerm } from "../../../src/manager/history-record.ts";
import type { LeaseHealth } from "../../../src/manager/lease-health.ts";
import { type FuzzTarget, fill } from "../target.ts";

/** Everything that commands get to show, whichever of them a case is about. */
interface Shown {
  readonly command: "status" | "nodes" | "history" | "watch" | "doctor" | "changes" | "errors" | "log";
  readonly texts: readonly string[];
  readonly numbers: readonly number[];
  readonly flags: readonly boolean[];
  readonly rows: number;
  readonly size: ScreenSize;
}

const COMMANDS = ["status", "nodes", "history", "watch", "doctor", "changes", "errors", "log"] as const;
const HOSTILE = [
  "\u001b]0;x\u0007",
  "\u009b2J",
  "\u202eevil",
  "\r\n",
  "\u2028",
  "\ud800",
  "漢",
  "e\u0301",
  "🙂",
  " ",
  "…",
  "-----",
];

const text = fc.oneof(
  { weight: 2, arbitrary: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  {
    weight: 2,
    arbitrary: fc.array(fc.constantFrom(...HOSTILE), { maxLength: 8 }).map((parts) => parts.join("")),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...HOSTILE), fc.nat(400)).map(([one, times]) => one.repeat(times)),
  },
);
const number = fc.oneof(
  fc.nat(100_000),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(0, 1, 8.64e15, 8.64e15 + 1, Number.NaN, Number.POSITIVE_INFINITY, -1),
);
const size = fc.oneof(
  fc.constantFrom({ columns: 80, rows: 24 }, { columns: 60, rows: 20 }),
  fc.record({ columns: fc.integer({ min: 1, max: 250 }), rows: fc.integer({ min: 1, max: 80 }) }),
);

/** Hands out the values of a case, over and over. */
class Values {
  readonly #shown: Shown;
  #next = 0;

  constructor(shown: Shown) {
    this.#shown = shown;
  }

  text = (): string => this.#of(this.#shown.texts, "");
  number = (): number => this.#of(this.#shown.numbers, 0);
  flag = (): boolean => this.#of(this.#shown.flags, false);
  maybe = <T>(value: T): T | null => (this.flag() ? value : null);
  list = <T>(make: () => T): T[] => Array.from({ length: this.#shown.rows }, make);

  #of<T>(values: readonly T[], fallback: T): T {
    this.#next += 1;
    return values[this.#next % Math.max(1, values.length)] ?? fallback;
  }
}

function status(give: Values): ClusterStatus {
  return {
    clusterId: give.text(),
    nodeId: give.text(),
    role: give.flag() ? "PRIMARY" : "PASSIVE",
    leader: give.text(),
    epoch: give.number(),
    leaderKnown: give.flag(),
    vipHeld: give.flag(),
    uptimeMs: give.number(),
    connected: give.flag(),
    daemon: give.flag() ? "running" : "not running",
    state: give.maybe(give.text()),
    competes: give.maybe(give.flag()),
    presence: give.maybe(give.text()),
    crashDetection: give.maybe(give.text()),
    silenceMs: give.maybe(give.number()),
    blocked: give.maybe(give.text()),
    ...health(give),
    lease: give.maybe({
      holder: give.text(),
      epoch: give.number(),
      acquiredAt: null,
      ageMs: give.number(),
      ttlMs: give.number(),
      answers: give.maybe(give.flag()),
      heldByOther: give.flag(),
    }),
    error: give.maybe(give.text()),
  };
}

function node(give: Values): NodeRow {
  return {
    nodeId: give.text(),
    instance: give.maybe(give.text()),
    leads: give.flag(),
    role: "PASSIVE",
    state: give.maybe(give.text()),
    epoch: give.number(),
    uptimeMs: give.maybe(give.number()),
    presence: give.maybe(give.text()),
    crashDetection: give.maybe(give.text()),
    silenceMs: give.maybe(give.number()),
    competes: give.maybe(give.flag()),
    standby: null,
    standbyMs: null,
    leaseTtlMs: give.maybe(give.number()),
    blocked: give.maybe(give.text()),
    version: give.maybe(give.text()),
    roundTripMs: give.maybe(give.number()),
    ...health(give),
  };
}

function health(give: Values): LeaseHealth {
  const [closed, silent, alive, unanswered, overtaken] = [1, 2, 3, 4, 5].map(() => give.number());
  return {
    server: give.maybe(give.text()),
    leastMarginMs: give.maybe(give.number()),
    suspensions: give.maybe(give.number()),
    suspicions: give.maybe({
      closed: closed ?? 0,
      silent: silent ?? 0,
      alive: alive ?? 0,
      unanswered: unanswered ?? 0,
      overtaken: overtaken ?? 0,
    }),
    beatRoundTripMs: give.maybe(give.number()),
  };
}

function term(give: Values): PastTerm {
  return {
    nodeId: give.text(),
    epoch: give.number(),
    from: give.maybe(give.number()),
    until: give.maybe(give.number()),
    untilAtMost: give.flag(),
    why: give.maybe(give.text()),
    leastMarginMs: give.maybe(give.number()),
    suspensions: give.maybe(give.number()),
    server: give.maybe(give.text()),
  };
}

function changes(give: Values): Change[] {
  const at = give.number();
  return [
    { kind: "leader", leader: give.text(), epoch: give.number(), acquiredAt: give.number(), at },
    { kind: "released", epoch: give.number(), successor: give.maybe(give.text()), at },
    { kind: "expired", leader: give.text(), epoch: give.number(), at },
    { kind: "garbage", reason: give.text(), at },
    { kind: "failed", error: new Error(give.text()), at },
  ];
}

function examination(give: Values): Examination {
  const clock = {
    offsetMs: give.number(),
    offsetErrorMs: give.number(),
    ratePpm: give.number(),
    rateErrorPpm: give.number(),
  };
  const usage = { usedBytes: give.number(), limitBytes: give.maybe(give.number()) };
  const finding = {
    severity: "warning",
    code: "x",
    where: give.text(),
    what: give.text(),
    todo: give.text(),
  } as const;
  return {
    verdict: "warning",
    findings: give.list(() => ({ ...finding, consequences: [{ ...finding, what: give.text() }] })),
    facts: {
      clusterId: give.text(),
      expectedServers: null,
      expectedNodes: give.maybe(give.number()),
      leaseTtlMs: give.number(),
      connection: null,
      system: null,
      servers: give.list(() => ({
        ...unknownServer(give.text(), "account"),
        error: give.maybe(give.text()),
        health: give.maybe({ ok: give.flag(), error: give.text() }),
        version: give.maybe(give.text()),
        cluster: give.maybe(give.text()),
        uptimeMs: give.maybe(give.number()),
        clock: give.maybe(clock),
        memory: give.maybe(usage),
        storage: give.maybe(usage),
        connections: give.maybe(give.number()),
        routes: give.maybe([give.text()]),
        meta: give.maybe({ leader: give.maybe(give.text()), size: 3, peers: [] }),
      })),
      account: null,
      bucket: give.maybe({
        exists: give.flag(),
        stream: give.text(),
        replicas: give.number(),
        storage: give.text(),
        maxAgeMs: give.number(),
        republish: give.flag(),
        foreignRepublish: false,
        placement: give.maybe({ cluster: give.text(), tags: [give.text()] }),
        clustered: true,
        leader: give.maybe(give.text()),
        peers: [{ name: give.text(), offline: give.flag(), current: true, lag: 0 }],
        size: usage,
        config: {},
      }),
      bucketProblem: null,
      otherClusters: [give.text()],
      lease: give.maybe({
        leader: give.maybe(give.text()),
        epoch: give.number(),
        holder: null,
        garbage: give.maybe(give.text()),
        answers: null,
        ageMs: give.number(),
        ttlMs: give.number(),
      }),
      nodes: give.list(() => ({ ...node(give), clock: give.maybe(clock) })),
      permissions: null,
      groups: [],
      applications: [],
      unseen: [{ what: give.text(), how: give.text() }],
    },
  };
}

function json(value: unknown): string[] {
  const text = JSON.stringify(value, null, 2);
  const lines = safeLines(text);
  if (JSON.stringify(JSON.parse(lines.join("\n"))) !== JSON.stringify(value))
    throw new Error("the JSON has changed");
  return lines;
}

/** The lines without styles. Their width is checked, and that the escape sequences of the styles are the only ones. */
function within(lines: readonly Line[], { columns, rows }: ScreenSize): string[] {
  if (lines.length > rows) throw new Error(`${lines.length} lines on ${rows} rows`);
  return lines.map((line) => {
    const plain = showLine(line, false);
    if (widthOf(plain) > columns) throw new Error(`${widthOf(plain)} columns on ${columns}: ${plain}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the styles
    const unstyled = showLine(line, true).replaceAll(/\u001b\[(?:1|2|31|32)m([^\u001b]*)\u001b\[0m/g, "$1");
    if (unstyled.trimEnd() !== plain) throw new Error("styles change more than the style");
    return plain;
  });
}

const LONG: ScreenSize = { columns: MAX_COLUMNS, rows: Number.POSITIVE_INFINITY };

function show(shown: Shown): readonly string[] {
  const give = new Values(shown);
  const { command, size: screen } = shown;
  // A table is not made for less.
  const table: ScreenSize = { columns: Math.max(8, screen.columns), rows: Number.POSITIVE_INFINITY };
  const now = give.number();
  switch (command) {
    case "status": {
      const found = status(give);
      return [...within(statusLines(found), LONG), ...json(found)];
    }
    case "nodes": {
      const found = give.list(() => node(give));
      return [
        ...within(nodeTable(found, table.columns), LONG),
        ...within(nodeTable(found, Infinity), LONG),
        ...json(found),
      ];
    }
    case "history": {
      const found = give.list(() => term(give));
      return [...within(historyTable(found, table.columns, now), table), ...json(found)];
    }
    case "watch": {
      const texts = new ChangeTexts();
      const events = changes(give).map((change) => texts.lineOf(change));
      const state = {
        status: give.maybe(status(give)),
        nodes: give.list(() => node(give)),
        problem: give.maybe(give.text()),
        outSince: give.maybe(give.number()),
        events,
      };
      return within(watchScreen(state, screen, now), screen);
    }
    case "doctor": {
      const found = examination(give);
      const whole = within(reportLines(found, 5, table.columns), LONG);
      return [
        ...whole,
        ...within(reportScreen(found, 5, screen, now), screen),
        ...json(examinationJson(found, 5, 0)),
      ];
    }
    case "changes": {
      const texts = new ChangeTexts();
      return changes(give).flatMap((change) => within([texts.lineOf(change)], LONG));
    }
    case "errors":
      return within(errorLines(shown.texts.join("\n")), LONG);
    case "log":
      return [true, false].flatMap((isJson) => {
        const lines: string[] = [];
        // The writer of the log makes each line printable.
        const log = cliLogger({
          level: () => "info",
          json: isJson,
          write: (one) => lines.push(printable(one)),
        });
        log.info(
          { [give.text()]: give.text(), err: new Error(give.text()), list: [give.text()] },
          give.text(),
        );
        return lines;
      });
    default:
      return command satisfies never;
  }
}

export const target: FuzzTarget<Shown> = {
  name: "command output",
  inputs: fc.record({
    command: fc.constantFrom(...COMMANDS),
    texts: fc.array(text, { minLength: 1, maxLength: 7 }),
    numbers: fc.array(number, { minLength: 1, maxLength: 5 }),
    flags: fc.array(fc.boolean(), { minLength: 1, maxLength: 11 }),
    rows: fc.nat(4),
    size,
  }),
  show,
  grown: (piece, length) => ({
    command: COMMANDS[piece.length % COMMANDS.length] ?? "status",
    // Handed out once or twice: the input is not many times as long as its texts.
    texts: [...Array.from({ length: 22 }, () => "a"), fill(piece, length)],
    numbers: [1],
    flags: [true, false, true],
    rows: 2,
    size: { columns: 80, rows: 24 },
  }),
  pieces: ["\u001b[2J ", "\u202e", "e\u0301", "a b ", "漢", "🙂", "\n  ", "x"],
};
