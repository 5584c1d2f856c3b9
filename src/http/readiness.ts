/**
 * Whether this process is ready: it takes part in its clusters and groups, and NATS answers it. Followers are ready. "Ready = leader"
 * would leave one ready instance of each deployment: a rolling update waits for the second one forever.
 */
import { membersOf, nodesOf, type ServedNode, type Sources } from "./views.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Why it is not ready; empty if it is. */
  readonly reasons: readonly string[];
}

export function readinessOf(sources: Sources): Readiness {
  const nodes = nodesOf(sources);
  const reasons = nodes.flatMap((node) =>
    because(`node "${node.nodeId}" of cluster "${node.clusterId}"`, node),
  );
  // The node of a manager exists while its daemon runs.
  if (sources.manager !== undefined && sources.manager.node === null)
    reasons.push("the daemon is not running");
  for (const member of membersOf(sources))
    reasons.push(...because(`member "${member.memberId}" of group "${member.groupId}"`, member));
  return { ready: reasons.length === 0, reasons };
}

interface Part {
  status():
    | (Pick<NonNullable<ReturnType<ServedNode["status"]>>, "stopping" | "spanMs"> & {
        readonly answeredMs: number | null;
      })
    | null;
}

function because(who: string, part: Part): string[] {
  const report = part.status();
  if (report === null) return [`${who} is not running: it has not connected to NATS yet, or has stopped`];
  const { stopping, answeredMs, spanMs } = report;
  if (stopping) return [`${who} is stopping`];
  if (answeredMs === null) return [`${who} has no session: NATS has not confirmed one, or it has expired`];
  if (answeredMs <= spanMs) return [];
  return [
    `${who}: NATS has not answered for ${Math.round(answeredMs)} ms, longer than the span of ${spanMs} ms`,
  ];
}
