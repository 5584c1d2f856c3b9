/** Changes of leadership as text. */
import type { Change } from "../../manager/cluster-watch.ts";
import { showInstant } from "./duration.ts";
import { type Line, line } from "./text.ts";

/** Remembers when the last term ended. */
export class ChangeTexts {
  #vacantSince: number | null = null;

  lineOf(change: Change): Line {
    return line`${showInstant(change.at)}  ${this.#textOf(change)}`;
  }

  #textOf(change: Change): string {
    const since = this.#vacantSince;
    switch (change.kind) {
      case "leader": {
        this.#vacantSince = null;
        const after = since === null ? "" : `, after ${change.at - since} ms without a leader`;
        return `${change.leader} leads, epoch ${change.epoch}${after}`;
      }
      case "released":
        this.#vacantSince = change.at;
        return `epoch ${change.epoch} was released${change.successor === null ? "" : ` to ${change.successor}`}`;
      case "deleted":
        this.#vacantSince = change.at;
        return "lease deleted: there is no leader";
      case "garbage":
        this.#vacantSince = change.at;
        return `the key has no lease record: ${change.reason}; there is no leader`;
      case "expired":
        this.#vacantSince = change.at;
        return `lease expired: ${change.leader}, epoch ${change.epoch}, no longer leads`;
      case "vacant":
        return "this cluster has not had a leader yet";
      case "disconnected":
        return "connection to NATS lost; reconnecting";
      case "reconnected":
        return "reconnected to NATS";
      case "failed":
        return `reading the lease failed: ${change.error.message}`;
      default:
        return change satisfies never;
    }
  }
}
