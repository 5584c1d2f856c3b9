/** The headers of a write. */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { Lane } from "./lanes.ts";

/** New headers: those of the application without the reserved ones, then the condition of the lane. */
export function ownHeaders(given: MsgHdrs | undefined, lane: Lane | null): MsgHdrs {
  const hdrs = headers();
  for (const [name, values] of given ?? []) {
    if (/^nats-(expected|batch)-/i.test(name)) continue;
    for (const value of values) hdrs.append(name, value);
  }
  for (const [name, values] of lane?.headers ?? []) hdrs.set(name, values[0] ?? "");
  return hdrs;
}
