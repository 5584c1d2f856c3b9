/** A Node.js child of the comparison of groups. */
import { BenchChild } from "../../../src/bench/child.ts";
import type { MemberListener, MemberProcess, ProcessListener } from "./group-peer.ts";
import type { GroupChildReport, GroupChildTask } from "./messages.ts";

const CHILD = new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url);

export function startNode(
  name: string,
  task: GroupChildTask,
  on: ProcessListener & Partial<MemberListener>,
): MemberProcess {
  const onReport = (message: unknown): void => {
    const report = message as GroupChildReport;
    if (report.type === "consumed") on.consumed?.(report.messages);
    else on.failed(`${name}: ${report.message}`);
  };
  return new BenchChild<GroupChildTask>(name, task, onReport, { program: CHILD });
}
