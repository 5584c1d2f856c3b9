/** Checks that a subject belongs to the stream, before the first write to it. */

import { ClusterError } from "../../errors.ts";
import { jsToClusterError } from "../../nats/api/js-api.ts";
import { covers } from "../../nats/subjects.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { checkSubject } from "./names.ts";
import { inspect } from "./read-fence.ts";

/** Subjects that are remembered; beyond that number all are checked again. */
const MAX_KNOWN = 1000;

/**
 * Another stream has another fence, or a copy of this one that is not moved, so no write may reach it. The server of the stream
 * answers for its own subjects only.
 */
export class SubjectCheck {
  readonly #on: GuardedStream;
  readonly #known = new Set<string>();

  constructor(on: GuardedStream) {
    this.#on = on;
  }

  /**
   * `null`: the stream stores the subject. A promise: its configuration has to be read again first. Throws and rejects with
   * `INVALID_CONFIG` for a subject that the stream does not store, or that is the fence's.
   */
  admit(subject: string): Promise<void> | null {
    if (this.#known.has(subject)) return null;
    checkSubject("subject", subject);
    this.#checkApart(subject);
    if (this.#stores(subject)) {
      this.#remember(subject);
      return null;
    }
    return this.#lookAgain(subject);
  }

  #remember(subject: string): void {
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.add(subject);
  }

  #stores(subject: string): boolean {
    return this.#on.config.subjects.some((filter) => covers(filter, subject));
  }

  /** The stream may have been given more subjects since it was opened. */
  async #lookAgain(subject: string): Promise<void> {
    const { what } = this.#on;
    const doing = `write to ${subject}`;
    const problem = this.#on.mux.problem(() => doing);
    if (problem !== null) throw problem;
    try {
      await inspect(this.#on);
    } catch (thrown) {
      throw jsToClusterError(thrown, `${doing} (nothing was sent)`);
    }
    if (this.#stores(subject)) return this.#remember(subject);
    throw new ClusterError(
      "INVALID_CONFIG",
      `cannot ${doing}: ${what} stores the subjects ${JSON.stringify(this.#on.config.subjects)} only; nothing was written`,
    );
  }

  #checkApart(subject: string): void {
    const { fence, what } = this.#on;
    if (!subject.startsWith(`${fence}.`)) return;
    throw new ClusterError(
      "INVALID_CONFIG",
      `subject ${subject} belongs to the fence of ${what}: write to another one`,
    );
  }
}
