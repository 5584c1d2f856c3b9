/** One run of the model checker. */

export interface Run {
  readonly name: string;
  /** Which of the models: `model/<model>.pml`. */
  readonly model: "lease" | "silence" | "group";
  /** `holds`: no violation in the whole state space. `reached`: the probe occurs. `violated`: the variant breaks an invariant. */
  readonly expect: "holds" | "reached" | "violated";
  /** Macros with a value. */
  readonly bounds: Readonly<Record<string, number>>;
  /** Macros other than the bounds: `PROBE_…`, `BUG_…`, `SPARE_…`, `ONLY_OVERLAP`. */
  readonly macros: readonly string[];
  /** `quick`: takes seconds; the test suite has all of them that hold or are reached, `.ci/run` the others. `full`: only if asked for. */
  readonly size: "quick" | "usual" | "full";
}
