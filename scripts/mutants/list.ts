/**
 * Named one-line faults. Each is a mistake that somebody could make, or has made; a checker that lets one pass is not worth
 * trusting. `from` is looked for in the compiled file, whatever its line breaks, and must be there exactly once.
 */
export interface Mutant {
  readonly name: string;
  /** Compiled file below `src`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Where `from` occurs more than once: which one, from 1. */
  readonly occurrence?: number;
  /** Why no history can tell it from the real thing. Such a mutant must not be found. */
  readonly equivalent?: string;
}

export const mutants: readonly Mutant[] = [
  // ------------------------------------------------------------------------------------------ the lease's arithmetic
  {
    name: "no margin: the leader believes as long as others wait",
    file: "src/election/lease.js",
    from: "return leaseTtlMs - leaseMarginMs(leaseTtlMs);",
    to: "return leaseTtlMs;",
  },
  {
    name: "an acquired lease counts from its ack",
    file: "src/election/term.js",
    from: "const deadline = deadlineOf(turn.state, sent.sentAt);",
    to: "const deadline = deadlineOf(turn.state, turn.now);",
    occurrence: 1,
  },
  {
    name: "a renewed lease counts from its ack",
    file: "src/election/term.js",
    from: "const deadline = deadlineOf(turn.state, sent.sentAt);",
    to: "const deadline = deadlineOf(turn.state, turn.now);",
    occurrence: 2,
  },
  {
    name: "the deadline is not looked at",
    file: "src/election/election.js",
    from: 'return state.role.name === "leader" && !hasReached(state.role.term.deadline, now);',
    to: 'return state.role.name === "leader";',
  },
  {
    name: "the deadline is judged by the monotonic clock alone",
    file: "src/election/time.js",
    from: "return now.mono >= deadline.mono || now.boot >= deadline.boot;",
    to: "return now.mono >= deadline.mono;",
  },
  {
    name: "late events are believed before the deadline is checked",
    file: "src/election/election.js",
    from: "expire(turn);",
    to: "",
  },
  {
    name: "a follower waits half a second less",
    file: "src/election/time.js",
    from: "return now.mono - since.mono >= ms;",
    to: "return now.mono - since.mono >= ms - 500;",
  },
  {
    name: "a candidate waits a little less than the lease",
    file: "src/election/candidate.js",
    from: "outwait === null ? 0 : outwait.since.mono + outwait.waitMs",
    to: "outwait === null ? 0 : outwait.since.mono + outwait.waitMs * 0.9",
  },
  {
    name: "a follower waits its own TTL, whatever the holder's",
    file: "src/election/lease.js",
    from: "return Math.max(ownTtlMs, holderTtlMs ?? bucketMaxAgeMs);",
    to: "return ownTtlMs;",
  },
  {
    name: "garbage over a longer lease is waited out for the own TTL only",
    file: "src/election/view.js",
    from: "outwait?.waitMs ?? 0);",
    to: "0);",
    occurrence: 1,
  },
  {
    name: "while a renewal is under way the next one is due after the deadline",
    file: "src/election/term.js",
    from: "setTerm(turn, { renewAtMono: turn.now.mono + config.renewIntervalMs });",
    to: "setTerm(turn, { renewAtMono: turn.now.mono + 20_000 });",
    equivalent:
      "nothing is sent before the outcome of the renewal, and that says anew when the next one is due",
  },
  {
    name: "a renewed lease counts from the newest send, applied or not",
    file: "src/election/term.js",
    from: "const deadline = deadlineOf(turn.state, sent.sentAt); const { config }",
    to: "const deadline = deadlineOf(turn.state, (turn.state.sent.at(-1) ?? sent).sentAt); const { config }",
  },
  {
    name: "renewals come after the deadline",
    file: "src/election/term.js",
    from: "renewAtMono: Math.max(turn.now.mono, sent.sentAt.mono + restMs),",
    to: "renewAtMono: Math.max(turn.now.mono, sent.sentAt.mono + restMs + 20_000),",
  },
  {
    name: "a wait goes on where a renewal should begin it anew",
    file: "src/election/view.js",
    from: "turn.state.outwait = { since: turn.now, waitMs };",
    to: "turn.state.outwait = { since: turn.state.outwait?.since ?? turn.now, waitMs };",
  },
  {
    name: "the margin is a tenth of what it should be",
    file: "src/election/lease.js",
    from: "return Math.max(MIN_MARGIN_MS, leaseTtlMs * 0.05);",
    to: "return Math.max(MIN_MARGIN_MS, leaseTtlMs * 0.05) / 10;",
  },
  // ------------------------------------------------------------------------------------------ epochs
  {
    name: "every term has epoch 1",
    file: "src/election/candidate.js",
    from: "Math.max(epochFloor(state.view), state.highestEpoch) + 1",
    to: "1",
  },
  {
    name: "the epoch follows from the bucket alone",
    file: "src/election/candidate.js",
    from: "Math.max(epochFloor(state.view), state.highestEpoch) + 1",
    to: "epochFloor(state.view) + 1",
  },
  {
    name: "the epoch follows from memory alone",
    file: "src/election/candidate.js",
    from: "Math.max(epochFloor(state.view), state.highestEpoch) + 1",
    to: "state.highestEpoch + 1",
  },
  {
    name: "an empty key starts at epoch 1 again",
    file: "src/election/view.js",
    from: "epochFloor: lastSequence,",
    to: "epochFloor: 0,",
  },
  {
    name: "garbage starts at epoch 1 again",
    file: "src/election/view.js",
    from: "return view.record === null ? view.revision : view.record.epoch;",
    to: "return view.record === null ? 0 : view.record.epoch;",
  },
  {
    name: "a bucket that is made anew begins at revision 1",
    file: "src/election/view.js",
    from: "return Math.max(highestEpoch, seenRevision);",
    to: "return 0;",
  },
  {
    name: "a bucket that is made anew begins behind the revisions, whatever the epoch is",
    file: "src/election/view.js",
    from: "return Math.max(highestEpoch, seenRevision);",
    to: "return seenRevision;",
  },
  {
    name: "a bucket that was made anew makes epochs forgotten",
    file: "src/election/view.js",
    from: 'turn.state.view = { kind: "unknown" }; turn.state.sent = [];',
    to: 'turn.state.view = { kind: "unknown" }; turn.state.sent = []; turn.state.highestEpoch = 0;',
  },
  {
    name: "a released lease leaves no epoch",
    file: "src/election/view.js",
    from: "turn.state.highestEpoch = Math.max(turn.state.highestEpoch, entry.epoch);",
    to: "",
    equivalent:
      "the marker's own epoch is the floor of the next term, and every later record carries a larger one",
  },
  // ------------------------------------------------------------------------------------------ compare-and-set, identity
  {
    name: "an empty key is taken without the stream's sequence",
    file: "src/election/view.js",
    from: "{ emptyAtSequence: view.lastSequence }",
    to: "{ revision: 0 }",
  },
  {
    name: "a record of my node id is mine",
    file: "src/election/view.js",
    from: "return record?.incarnation === state.config.incarnation;",
    to: "return record?.nodeId === state.config.nodeId;",
  },
  {
    name: "a release hits whatever was seen last",
    file: "src/election/writes.js",
    from: "expect: { revision: release.revision },",
    to: "expect: { revision: turn.state.seenRevision },",
    equivalent:
      "while a lease is ours, nothing newer can have been seen than our own revision: what is newer ends the term",
  },
  {
    name: "old events are believed",
    file: "src/election/view.js",
    from: "if (entry.revision <= turn.state.seenRevision) return false;",
    to: "if (entry.revision < 0) return false;",
  },
  {
    name: "stale reads are believed",
    file: "src/election/view.js",
    from: "if (!disputed || !waitedUntil(seenAt, waitMs, turn.now)) return false;",
    to: "",
  },
  {
    name: "a disputed view is believed for ever",
    file: "src/election/view.js",
    from: "if (!disputed || !waitedUntil(seenAt, waitMs, turn.now)) return false;",
    to: "return false;",
  },
  {
    name: "what was sent to a deleted bucket begins a term in the next",
    file: "src/election/view.js",
    from: 'turn.state.view = { kind: "unknown" }; turn.state.sent = [];',
    to: 'turn.state.view = { kind: "unknown" };',
    equivalent:
      "only a write that strayed into the next bucket could begin one, and such a history proves nothing any more (`Strayed`)",
  },
  {
    name: "a straggler of a deleted bucket outlives the read at its revision",
    file: "src/election/view.js",
    from: "if (contradicts(turn.state, snapshot.entry)) turn.state.seenRevision = 0;",
    to: "",
    equivalent:
      "nothing watched is believed for one lease after another bucket was noticed; the rule is left for one that lost its newest messages: test/election/view.test.ts",
  },
  {
    name: "what is watched is believed to be of the bucket that was read",
    file: "src/election/election.js",
    from: "mayBeStray(turn) || isFromAnotherLife(turn.state, entry)",
    to: "isFromAnotherLife(turn.state, entry)",
  },
  {
    name: "a straggler of a deleted bucket outlives what is watched at its revision",
    file: "src/election/election.js",
    from: "mayBeStray(turn) || isFromAnotherLife(turn.state, entry) || contradicts(turn.state, entry)",
    to: "mayBeStray(turn) || isFromAnotherLife(turn.state, entry)",
    equivalent:
      "any later message is news; one that stays the newest for a whole wait is of a holder that does not renew",
  },
  {
    name: "a message of an earlier epoch is believed",
    file: "src/election/election.js",
    from: "mayBeStray(turn) || isFromAnotherLife(turn.state, entry) || contradicts(turn.state, entry)",
    to: "mayBeStray(turn) || contradicts(turn.state, entry)",
    equivalent:
      "its revision is refused by the compare-and-set and then disputed; what is announced goes back with a warning; only time is lost",
  },
  {
    name: "a release is expected to find nothing",
    file: "src/election/writes.js",
    from: "expect: { revision: release.revision },",
    to: "expect: { revision: 0 },",
  },
  // ------------------------------------------------------------------------------------------ unknown outcomes
  {
    name: "a late acquire is adopted after its deadline",
    file: "src/election/candidate.js",
    from: "hasReached(deadlineOf(state, sent.sentAt), turn.now)",
    to: "false",
  },
  {
    name: "an acquire made on another connection is adopted",
    file: "src/election/candidate.js",
    from: 'return state.config.crashDetection === "lease" || sameBinding(sent.binding, state.binding);',
    to: "return true;",
  },
  {
    name: "an acquire is adopted although a larger epoch was seen",
    file: "src/election/candidate.js",
    from: "sent.epoch < state.highestEpoch ||",
    to: "",
  },
  {
    name: "an acquire is adopted without a connection",
    file: "src/election/candidate.js",
    from: "!state.config.competes || !state.connected ||",
    to: "!state.config.competes ||",
    equivalent:
      "with a presence the connection it was made on is asked for, too; without one a lease is good offline, up to its deadline",
  },
  {
    name: "an acquire is adopted although its record has been replaced",
    file: "src/election/candidate.js",
    from: "const replaced = revision < turn.state.seenRevision;",
    to: "const replaced = false;",
  },
  {
    name: "a lost term's renewals may begin another one",
    file: "src/election/term.js",
    from: 'turn.state.sent = []; turn.state.mustRead = reason === "expired" || turn.state.mustRead;',
    to: 'turn.state.mustRead = reason === "expired" || turn.state.mustRead;',
  },
  {
    name: "a lost term is campaigned for without a look",
    file: "src/election/term.js",
    from: 'turn.state.mustRead = reason === "expired" || turn.state.mustRead;',
    to: "turn.state.mustRead = false;",
    equivalent: "the compare-and-set finds out what the look would have; only time is lost",
  },
  {
    name: "a failed renewal is not looked up",
    file: "src/election/term.js",
    from: "turn.state.failures += 1;",
    to: "turn.state.failures += 1; turn.state.mustRead = false;",
    equivalent: "the next renewal is refused, and the refusal is looked up",
  },
  {
    name: "a lease that was asked to be deleted begins a term",
    file: "src/election/candidate.js",
    from: "turn.state.sent = []; sendRelease(turn, {",
    to: "sendRelease(turn, {",
  },
  {
    name: "a released term's renewals may begin another one",
    file: "src/election/term.js",
    from: 'turn.state.role = { name: "follower" }; turn.state.sent = []; turn.state.retryAtMono = turn.now.mono;',
    to: 'turn.state.role = { name: "follower" }; turn.state.retryAtMono = turn.now.mono;',
  },
  {
    name: "an acquire that was seen only by the watch begins a term",
    file: "src/election/election.js",
    from: "observe(turn, entry); // Only an ack or a read makes a leader: a write of ours that the watch shows is looked up.",
    to: "observe(turn, entry); settleOrphan(turn);",
  },
  {
    name: "any record of ours begins a term, whichever write it was",
    file: "src/election/candidate.js",
    from: "const sent = state.sent.find((write) => write.nonce === nonce);",
    to: "const sent = state.sent.at(-1);",
  },
  {
    name: "an acquire is adopted by a node that only follows",
    file: "src/election/candidate.js",
    from: "if (state.stopping || !state.config.competes ||",
    to: "if (state.stopping ||",
  },
  {
    name: "an acquire is adopted by a node that stops",
    file: "src/election/candidate.js",
    from: "if (state.stopping || !state.config.competes ||",
    to: "if (!state.config.competes ||",
  },
  {
    name: "the read after a renewal does not say whose lease it is",
    file: "src/election/term.js",
    from: 'if (entry?.kind === "record" && isMine(turn.state, entry.record)) {',
    to: 'if (entry?.kind === "record") {',
  },
  // ------------------------------------------------------------------------------------------ vacancy, takeover
  {
    name: "a vanished record need not be waited for",
    file: "src/election/view.js",
    from: 'else if (outwait !== null && !expired && view.kind !== "vacant") holdBack(turn, outwait.waitMs);',
    to: "else turn.state.outwait = null;",
  },
  {
    name: "another bucket need not be waited for",
    file: "src/election/view.js",
    from: "if (outwait !== null) holdBack(turn, outwait.waitMs);",
    to: "turn.state.outwait = null;",
  },
  {
    name: "renewals are not waited for",
    file: "src/election/view.js",
    from: "else holdBack(turn, takeoverWaitMs(config.leaseTtlMs, record.ttlMs, turn.state.bucketMaxAgeMs));",
    to: "else if (view.kind === 'unknown') holdBack(turn, takeoverWaitMs(config.leaseTtlMs, record.ttlMs, turn.state.bucketMaxAgeMs));",
  },
  {
    name: "garbage need not be waited for",
    file: "src/election/view.js",
    from: "holdBack(turn, garbageWaitMs(turn.state));",
    to: "",
  },
  {
    name: "an observer campaigns",
    file: "src/election/candidate.js",
    from: 'if (!config.competes || state.stopping || view.kind === "unknown") return null;',
    to: 'if (state.stopping || view.kind === "unknown") return null;',
  },
  {
    name: "nobody reads in silence",
    file: "src/election/act.js",
    from: "return now.mono >= silentAtMono(state);",
    to: "return false;",
  },
  {
    name: "a released lease is waited for",
    file: "src/election/view.js",
    from: "turn.state.outwait = null; turn.state.highestEpoch = Math.max(turn.state.highestEpoch, entry.epoch);",
    to: "turn.state.highestEpoch = Math.max(turn.state.highestEpoch, entry.epoch);",
    equivalent: "only time is lost: nobody leads for one lease longer",
  },
  // ------------------------------------------------------------------------------------------ presence
  {
    name: "a suspicion is enough",
    file: "src/runtime/driver.js",
    from: 'if (dead) this.dispatch({ type: "death-confirmed", binding: effect.binding });',
    to: 'this.dispatch({ type: "death-confirmed", binding: effect.binding });',
  },
  {
    name: "the death of any connection is the holder's",
    file: "src/election/candidate.js",
    from: "if (session.serverId !== serverId || session.clientId !== clientId) return;",
    to: "",
  },
  {
    name: "a leader is not suspended when its connection ends",
    file: "src/election/term.js",
    from: 'turn.state.role = { name: "suspended", term };',
    to: "return;",
  },
  {
    name: "any renewal lifts a suspension",
    file: "src/election/term.js",
    from: "if (sameBinding(sent.binding, turn.state.binding)) resume(turn); else setTerm(turn, { renewAtMono: turn.now.mono });",
    to: "resume(turn);",
  },
  {
    name: "a suspension is lifted without a connection",
    file: "src/election/term.js",
    from: 'if (turn.state.role.name !== "suspended" || !turn.state.connected) break;',
    to: 'if (turn.state.role.name !== "suspended") break;',
    equivalent: "without a connection there is no binding that the renewal's could equal",
  },
  {
    name: "a leader that is not suspended on disconnect promises a presence",
    file: "src/election/writes.js",
    from: 'return crashDetection === "presence" ? binding : { serverId, clientId };',
    to: "return binding;",
  },
  {
    name: "a frozen process believes in its connection",
    file: "src/runtime/driver.js",
    from: "|| this.#freshness.isFresh(now);",
    to: "|| true;",
  },
  {
    name: "five seconds without a look at the connection are fine",
    file: "src/runtime/freshness.js",
    from: "const STALE_AFTER_MS = 250;",
    to: "const STALE_AFTER_MS = 5_000;",
  },
  {
    name: "a thawed process looks at its clock before its sockets",
    file: "src/runtime/freshness.js",
    from: "this.#clock.afterTurn(() => look(before))",
    to: "look(before)",
  },
  {
    name: "an answer is believed before the sockets were looked at",
    file: "src/runtime/freshness.js",
    from: "if (this.#staleAt === null || this.isFresh(before))",
    to: "if (true)",
  },
  {
    name: "the disconnection is not passed on",
    file: "src/runtime/driver.js",
    from: 'this.dispatch({ type: "disconnected" });',
    to: "",
  },
  {
    name: "a look at the connection counts even where it is gone",
    file: "src/runtime/freshness.js",
    from: "if (!stopped && this.#isConnected()) this.#see(before);",
    to: "if (!stopped) this.#see(before);",
    equivalent: "a loop that has turned has handled the disconnection, too, and the term is suspended",
  },
  {
    name: "nobody looks after the connection",
    file: "src/runtime/driver.js",
    from: "if (dependsOnConnection(state)) this.#freshness.start();",
    to: "if (false) this.#freshness.start();",
  },
  {
    name: "the connection is looked after only once a term runs",
    file: "src/election/wants.js",
    from: "return termOf(state) !== null || state.sent.length > 0;",
    to: "return termOf(state) !== null;",
  },
  {
    name: "a death that was confirmed is one of whoever holds next",
    file: "src/election/view.js",
    from: "return gone !== null && session?.presence !== undefined && sameBinding(session, gone);",
    to: "return gone !== null && session?.presence !== undefined;",
  },
  // ------------------------------------------------------------------------------------------ leaving
  {
    name: "the lease goes before the work has stopped",
    file: "src/election/term.js",
    from: 'if (role.name === "draining" && role.drained) { if',
    to: 'if (role.name === "draining") { if',
  },
  {
    name: "a release overtakes the renewal before it",
    file: "src/election/act.js",
    from: "if (turn.state.inFlight === null) sendDueWrite(turn);",
    to: "sendDueWrite(turn);",
    equivalent:
      "both expect the same revision: the compare-and-set lets one through, whichever comes first, and the other is looked up",
  },
  {
    name: "stop() does not wait for the term's end",
    file: "src/election/act.js",
    from: "if (termOf(state) !== null) return false; if (state.connected && state.inFlight",
    to: "if (state.connected && state.inFlight",
  },
  {
    name: "a second drain begins in the first",
    file: "src/election/election.js",
    from: 'if (turn.state.role.name === "leader" || turn.state.role.name === "suspended") drain(turn, "stopped", undefined);',
    to: 'if (termOf(turn.state) !== null) drain(turn, "stopped", undefined);',
  },
  // ------------------------------------------------------------------------------------------ driver and adapter
  {
    name: "an event within an event is handled at once",
    file: "src/runtime/driver.js",
    from: "if (this.#draining) { this.#queue.push(event); return; }",
    to: "",
    equivalent:
      "here a step causes no event at once but `drained`, and that finds the state which the step has left; what applications may cause within a step is in test/runtime/driver.test.ts",
  },
  {
    name: "the deadline has no timer",
    file: "src/election/wants.js",
    from: "if (term !== null) delayMs = remainingMs(term.deadline, now);",
    to: "",
  },
  {
    name: "events are handled newest first",
    file: "src/runtime/driver.js",
    from: "next = this.#queue.length === 0 ? undefined : this.#queue.shift();",
    to: "next = this.#queue.pop();",
    equivalent: "a step causes one event at once at the most (`drained`): the queue never holds two",
  },
  {
    name: "the timer is not set again",
    file: "src/runtime/driver.js",
    from: "if (delayMs !== null && this.#cancelTimer !== null && this.#timerAtMono <= now.mono + delayMs) return;",
    to: "if (delayMs !== null && this.#cancelTimer !== null) return;",
  },
  {
    name: "timers are not rounded up: they fire early",
    file: "src/testing/simulation/time/virtual-clock.js",
    from: "Math.max(1, Math.ceil(delayMs)), fire",
    to: "Math.max(0, Math.floor(delayMs)), fire",
  },
  {
    name: "adapter: a conflict is told as applied",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: 'return { kind: "conflict" };',
    to: 'return { kind: "applied", revision: this.#sequence };',
  },
  {
    name: "adapter: an unanswered write is sent again",
    file: "src/testing/simulation/fakes/fake-store.js",
    from: 'const done = (outcome) => resolve(outcome ?? { kind: "unknown",',
    to: 'const done = (outcome) => (outcome === null && this.#roundTrip(timeoutMs, serve, () => {}), false) || resolve(outcome ?? { kind: "unknown",',
    equivalent:
      "the second one is refused like any other that expects what is no longer so, or stands for the first",
  },
  {
    name: "adapter: an empty key is compared without the stream's sequence",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: "return this.#entry === null && this.#sequence === expect.emptyAtSequence;",
    to: "return this.#entry === null;",
  },
  {
    name: "adapter: a suspicion of any connection is told",
    file: "src/testing/simulation/fakes/fake-session.js",
    from: "if (presence === this.#watched)",
    to: "if (true)",
    equivalent: "the election compares the presence with the one in the record it knows",
  },
  {
    name: "adapter: a timeout means applied",
    file: "src/testing/simulation/fakes/fake-store.js",
    from: 'resolve(outcome ?? { kind: "unknown", error: noAnswer("write", timeoutMs) });',
    to: 'resolve(outcome ?? { kind: "applied", revision: 1_000_000 });',
  },
  {
    name: "adapter: puts are not compared",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: "if (!this.#exists || !this.#meets(write.expect))",
    to: 'if (!this.#exists || (write.kind !== "put" && !this.#meets(write.expect)))',
  },
  {
    name: "adapter: deletes are not compared",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: "if (!this.#exists || !this.#meets(write.expect))",
    to: 'if (!this.#exists || (write.kind === "put" && !this.#meets(write.expect)))',
  },
  {
    name: "adapter: no answer means dead",
    file: "src/testing/simulation/fakes/fake-session.js",
    from: "time.after(timeoutMs, () => answer(false));",
    to: "time.after(timeoutMs, () => answer(true));",
  },
  {
    name: "adapter: a connection that came back keeps its name",
    file: "src/testing/simulation/fakes/fake-session.js",
    from: "const clientId = this.#nextClientId++;",
    to: "const clientId = 1;",
  },
];
