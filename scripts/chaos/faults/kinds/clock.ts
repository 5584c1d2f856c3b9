import type { FaultName } from "../names.ts";
import { excused, type FaultKind, termMayEnd } from "./kind.ts";

export const CLOCK_KINDS: Readonly<Record<FaultName<"clock">, FaultKind>> = {
  "clock-back": {
    what: "the leader's clocks are set back",
    ...excused("clock"),
    needs: "clocks",
    costMs: 4000,
    stale: true,
  },
  "clock-forward": {
    what: "the leader's clocks are set forward",
    ...termMayEnd,
    needs: "clocks",
    costMs: 2500,
  },
  "freeze-and-clock-back": {
    what: "SIGSTOP of the leader; its clocks are set back while it is stopped",
    ...excused("clock"),
    needs: "clocks",
    costMs: 4500,
    stale: true,
  },
  "clock-rate": {
    what: "a node restarts with clocks 0.5 % too fast or too slow",
    ...termMayEnd,
    needs: "clocks",
    costMs: 3000,
  },
  "clock-rate-far": {
    what: "a node restarts with clocks 1.25 times as fast or as slow, then the leader is cut off",
    ...excused("clock-rate"),
    needs: "clocks",
    costMs: 7000,
    stale: true,
  },
  "wall-clock": {
    what: "a node restarts and becomes leader; only its wall clock is set, back or forward",
    ...termMayEnd,
    needs: "clocks",
    costMs: 7000,
  },
};
