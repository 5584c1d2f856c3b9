import type { FaultName } from "../names.ts";
import { excused, type FaultKind, sameTerm, termMayEnd, unnoticed } from "./kind.ts";

export const PROCESS_KINDS: Readonly<Record<FaultName<"process">, FaultKind>> = {
  kill: { what: "SIGKILL of the leader", ...termMayEnd, costMs: 1500 },
  "kill-follower": { what: "SIGKILL of a follower", ...unnoticed, costMs: 1000 },
  "kill-two": { what: "SIGKILL of the leader and of a follower", ...termMayEnd, costMs: 2000 },
  "kill-half-open": {
    what: "SIGKILL of the leader while its end of the connection never reaches the server",
    ...termMayEnd,
    costMs: 3500,
  },
  term: { what: "SIGTERM of the leader", ...termMayEnd, costMs: 1000 },
  "step-down": { what: "the leader receives a step-down request", ...termMayEnd, costMs: 600 },
  freeze: {
    what: "SIGSTOP of the leader until another node has taken over",
    ...termMayEnd,
    costMs: 3000,
    stale: true,
  },
  "freeze-short": {
    what: "SIGSTOP of the leader, shorter than its span",
    ...sameTerm,
    costMs: 700,
  },
  "freeze-and-cut": {
    what: "SIGSTOP of the leader; its connection is cut while it is stopped",
    ...termMayEnd,
    costMs: 2000,
    stale: true,
  },
  "freeze-all": {
    what: "SIGSTOP of all nodes, longer than the lease",
    ...termMayEnd,
    costMs: 4000,
  },
  block: {
    what: "the leader's event loop is blocked for longer than its lease",
    ...termMayEnd,
    costMs: 3500,
  },
  "block-and-cut": {
    what: "the leader's event loop is blocked for less than 250 ms; its connection is cut at the same time",
    ...excused("blocked-loop"),
    costMs: 1000,
  },
  "duplicate-id": {
    what: "a second process starts with the leader's node id, then SIGKILL of the first",
    ...termMayEnd,
    costMs: 3000,
  },
  "different-ttls": {
    what: "a node restarts with twice the lease TTL of the others and becomes leader; then SIGSTOP",
    ...termMayEnd,
    costMs: 8000,
  },
  "freeze-seconds": {
    what: "SIGSTOP of any node for 1 to 6 s, whether or not another takes over",
    ...termMayEnd,
    costMs: 4500,
  },
};
