/** The option `--nodes`, which `npm run sim` and `npm run mutants` share. */
import { Option } from "commander";
import { wholeNumberParser } from "../shared/whole-number.ts";
import type { PlanOptions } from "./plan.ts";

export interface NodesFlag {
  readonly nodes?: number;
}

export function nodesOption(): Option {
  return new Option("--nodes <k>", "nodes in every history (default: one to five, mostly three)").argParser(
    wholeNumberParser(),
  );
}

export function planOptionsOf({ nodes }: NodesFlag): PlanOptions {
  return nodes === undefined ? {} : { nodes };
}
