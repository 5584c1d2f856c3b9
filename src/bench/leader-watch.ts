/** Reports when a node is held by asking `isLeader()`, as an application does. */
import type { Node } from "../node/node.ts";
import { type ChildReport, hostNowMs, report } from "./messages.ts";

/**
 * Each `ask()` asks once. A period ends with the last answer that was true, so no report claims more than the application could
 * have seen.
 */
export class LeaderWatch {
  readonly #node: Pick<Node, "isLeader" | "term">;
  readonly #report: (message: ChildReport) => void;
  readonly #now: () => number;
  /** Epoch of the term in which the node is held, `null` while it is not held. */
  #epoch: number | null = null;
  #lastTrue = 0;

  constructor(
    node: Pick<Node, "isLeader" | "term">,
    send: typeof report = report,
    now: () => number = hostNowMs,
  ) {
    this.#node = node;
    this.#report = send;
    this.#now = now;
  }

  /** The clock is read before `isLeader()`: the answer holds no later than the recorded time. */
  ask(): void {
    const at = this.#now();
    // A node that answers true without a term is wrong and must be seen: the period goes on.
    const epoch = this.#node.isLeader() ? (this.#node.term?.epoch ?? this.#epoch ?? 0) : null;
    if (epoch !== this.#epoch) {
      if (this.#epoch !== null) {
        this.#report({ type: "unheld", at: this.#lastTrue, epoch: this.#epoch, by: "watch" });
      }
      if (epoch !== null) this.#report({ type: "held", at, epoch, by: "watch" });
      this.#epoch = epoch;
    }
    if (epoch !== null) this.#lastTrue = at;
  }
}
