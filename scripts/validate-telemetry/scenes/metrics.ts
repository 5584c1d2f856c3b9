/** Values of the metrics of the nodes, as Prometheus has them. */
import { type NodeMetric, node as nodeMetric } from "../../../examples/observability/source/names.ts";
import { Stage } from "../stage.ts";

/** The newest value of a metric of one node; 0 without one. @param more `_count`, or further labels. */
export function metricOf(
  stage: Stage,
  name: NodeMetric,
  nodeId: string,
  { suffix = "", labels = "" }: { readonly suffix?: string; readonly labels?: string } = {},
): Promise<number> {
  const selector = Stage.selector(nodeId).replace("}", labels === "" ? "}" : `,${labels}}`);
  return stage.prometheus.value(`sum(${nodeMetric(name)}${suffix}${selector})`);
}

/** The sum over all nodes. */
export function sumOf(stage: Stage, name: NodeMetric): Promise<number> {
  return stage.prometheus.value(`sum(${nodeMetric(name)}${Stage.selector()})`);
}

/** `true`, or both numbers. */
export function equal(found: number, wanted: number): true | string {
  return found === wanted || `${found}, not ${wanted}`;
}

export function atLeast(found: number, least: number): true | string {
  return found >= least || `${found}, less than ${least}`;
}
