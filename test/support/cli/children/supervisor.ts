/** A process that supervises one program, for tests that stop or kill it. Arguments: the program's PATH, then its command line. */
import { Leash } from "../../../../src/cli/supervise/leash.ts";
import { SupervisedProgram } from "../../../../src/cli/supervise/supervised-program.ts";
import { listen, say } from "../../processes/child-io.ts";

const [PATH = "", command = "", ...args] = process.argv.slice(2);
const program = new SupervisedProgram({
  command,
  args,
  env: { ...process.env, PATH },
  onGuardLost: ({ signal, replaced }) => say({ lost: signal, replaced, guard: program.guardPid }),
});
let leaseEndsAt = Number.POSITIVE_INFINITY;
let stretchEndsAt = Number.POSITIVE_INFINITY;
let provenUntil = Number.POSITIVE_INFINITY;
let lossReason: "released" | null = null;
const until = (at: number): number => Math.max(0, at - performance.now());
const term = {
  get remainingMs() {
    return until(Math.min(leaseEndsAt, stretchEndsAt));
  },
  get provenRemainingMs() {
    return until(Math.min(leaseEndsAt, stretchEndsAt, provenUntil));
  },
  get leaseRemainingMs() {
    return until(leaseEndsAt);
  },
  get lossReason() {
    return lossReason;
  },
};
let leash: Leash | null = null;
void program.ended.then(({ code, signal }) => say({ ended: code, signal }));
say({ pid: program.pid, guard: program.guardPid });

interface Order {
  /** Time until the guard kills the program. */
  readonly limit?: number;
  /** Time until the guard freezes the program; with `limit`. */
  readonly freeze?: number;
  /** Rest of the lease of a term that limits the program from now on. */
  readonly lease?: number;
  /** Rest of the stretch of that term. */
  readonly stretch?: number;
  /** Time for which the last round trip of that term counts. */
  readonly proven?: number;
  readonly onSuspend?: "freeze" | "continue";
  /** The term is being given up. */
  readonly drain?: true;
}

listen<Order>(({ limit, freeze, lease, stretch, proven, onSuspend = "freeze", drain }) => {
  if (limit !== undefined) program.limit({ isFrozen: false, freezeMs: freeze ?? null, killMs: limit });
  if (drain === true) lossReason = "released";
  if (lease !== undefined) leaseEndsAt = performance.now() + lease;
  if (stretch !== undefined) stretchEndsAt = performance.now() + stretch;
  if (proven !== undefined) provenUntil = performance.now() + proven;
  if (lease !== undefined)
    leash ??= new Leash({ term, program, onSuspend, onUnproven: () => say({ unproven: true }) });
  leash?.check();
  say({ done: true });
});
