import type { Mutant } from "./mutant.ts";

/** Suspicion, confirmation, suspension and freshness. */
export const presenceMutants: readonly Mutant[] = [
  {
    name: "a suspicion is enough",
    file: "src/election/inquiry.js",
    from: 'if (answer.kind === "closed" && closedIsEnough(draft, session)) {',
    to: "if (closedIsEnough(draft, session)) {",
  },
  {
    name: "a confirmation for any connection counts against the holder",
    file: "src/election/inquiry.js",
    from: 'if (session === null || view.kind === "unknown" || !sameConnection(session, open.binding)) return;',
    to: 'if (session === null || view.kind === "unknown") return;',
  },
  {
    name: "a leader is not suspended when its connection ends",
    file: "src/election/leader.js",
    from: 'draft.role = { name: "suspended", term };',
    to: "return;",
  },
  {
    name: "a renewal on any connection ends a suspension",
    file: "src/election/leader.js",
    from: "if (sameConnection(sent.binding, draft.link.binding) && isInStretch(draft, sent)) resume(draft); else setTerm(draft, { renewAtMono: draft.now.mono });",
    to: "resume(draft);",
  },
  {
    name: "a suspension ends without a connection",
    file: "src/election/leader.js",
    from: 'if (draft.role.name !== "suspended" || !draft.link.connected) return;',
    to: 'if (draft.role.name !== "suspended") return;',
    equivalent: "without a connection there is no binding that the renewal's could equal",
  },
  {
    name: "a leader that does not suspend itself promises a presence",
    file: "src/election/writes.js",
    from: 'crashDetection === "presence" && presence !== undefined ? { presence } : {}',
    to: "presence !== undefined ? { presence } : {}",
  },
  {
    name: "a frozen process believes in its connection",
    file: "src/runtime/driver.js",
    from: "return this.#freshness.isFresh(now) && ",
    to: "return ",
  },
  {
    name: "a check of the connection counts for five seconds",
    file: "src/runtime/freshness.js",
    from: "const STALE_AFTER_MS = 250;",
    to: "const STALE_AFTER_MS = 5_000;",
  },
  {
    name: "a loop that turns proves the connection",
    file: "src/runtime/driver.js",
    from: " && this.#roundTrips.isProven(now)",
    to: "",
  },
  {
    name: "a round trip counts from the reading of its answer",
    file: "src/runtime/round-trips.js",
    from: "this.#prove(sentAt)",
    to: "this.#prove(this.#clock.now())",
  },
  {
    name: "a round trip counts for five seconds",
    file: "src/runtime/round-trips.js",
    from: "after(this.#provenAt, this.#provenForMs())",
    to: "after(this.#provenAt, 5_000)",
  },
  {
    name: "the server is asked for one sign of life only",
    file: "src/runtime/round-trips.js",
    from: "this.#ask();\n            this.#askLater();",
    to: "this.#ask();",
  },
  {
    name: "a thawed process checks its clock before its sockets",
    file: "src/runtime/freshness.js",
    from: "this.#clock.afterTurn(() => check(before))",
    to: "check(before)",
  },
  {
    name: "an answer is believed before the sockets were checked",
    file: "src/runtime/freshness.js",
    from: "if (this.#staleAt === null || this.isFresh(before))",
    to: "if (true)",
  },
  {
    name: "the driver does not pass on the disconnection",
    file: "src/runtime/driver.js",
    from: 'this.dispatch({ type: "disconnected" });',
    to: "",
  },
  {
    name: "a check that finds no connection counts as fresh",
    file: "src/runtime/freshness.js",
    from: "if (!stopped && this.#isConnected()) this.#confirm(before);",
    to: "if (!stopped) this.#confirm(before);",
    equivalent: "a loop that has turned has also handled the disconnection, which suspended the term",
  },
  {
    name: "the connection is never checked",
    file: "src/runtime/driver.js",
    from: "if (dependsOnConnection(state)) {",
    to: "if (false) {",
  },
  {
    name: "the connection is checked only once a term runs",
    file: "src/election/outlook.js",
    from: "return state.link.connected && (termOf(state) !== null || state.writes.unsettled.length > 0);",
    to: "return state.link.connected && termOf(state) !== null;",
  },
  {
    name: "a confirmation counts against every later holder",
    file: "src/election/outlook.js",
    from: "return closedBinding !== null && session?.presence !== undefined && sameConnection(session, closedBinding);",
    to: "return closedBinding !== null && session?.presence !== undefined;",
  },
];
