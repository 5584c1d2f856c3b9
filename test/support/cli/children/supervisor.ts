/** A process that supervises one program, for tests that stop or kill it. Arguments: the program's PATH, then its command line. */
import { leash } from "../../../../src/cli/supervise/leash.ts";
import { SupervisedProgram } from "../../../../src/cli/supervise/supervised-program.ts";
import { listen, say } from "../../processes/child-io.ts";

const [PATH = "", command = "", ...args] = process.argv.slice(2);
const program = new SupervisedProgram({
  command,
  args,
  env: { ...process.env, PATH },
  onGuardLost: ({ signal, replaced }) => say({ lost: signal, replaced, guard: program.guardPid }),
});
let deadlineAt = Number.POSITIVE_INFINITY;
const term = {
  get remainingMs() {
    return Math.max(0, deadlineAt - performance.now());
  },
};
void program.ended.then(({ code, signal }) => say({ ended: code, signal }));
say({ pid: program.pid, guard: program.guardPid });
listen<{ readonly lease?: number; readonly limit?: number }>((to) => {
  if (to.limit !== undefined) program.limit(to.limit);
  if (to.lease !== undefined) {
    deadlineAt = performance.now() + to.lease;
    leash(term, program);
  }
  say({ done: true });
});
