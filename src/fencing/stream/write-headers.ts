/** The headers of a write. */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { ClusterError, messageOf } from "../../errors.ts";
import { EPOCH_HEADER } from "../token.ts";
import type { Lane } from "./lanes.ts";

/**
 * The only headers of the server's name space that an application may set. The server acts on all of these names, and later
 * versions on further ones: `Nats-Rollup: all` and the `Nats-Schedule` headers remove the fence or write over it.
 */
const ALLOWED: ReadonlySet<string> = new Set(["nats-msg-id", "nats-ttl", "nats-rollup"]);

/**
 * New headers: those of the application, then the condition of the lane. An epoch of the application is replaced.
 *
 * @throws ClusterError `INVALID_CONFIG` for a header that is reserved, or that nats.js cannot encode.
 */
export function ownHeaders(given: MsgHdrs | undefined, lane: Lane | null): MsgHdrs {
  const hdrs = headers();
  for (const [name, values] of given ?? []) {
    const lower = name.toLowerCase();
    if (lower === EPOCH_HEADER.toLowerCase()) continue;
    if (lower.startsWith("nats-")) checkReserved(name, values);
    for (const value of values) append(hdrs, name, value);
  }
  for (const [name, values] of lane?.headers ?? []) hdrs.set(name, values[0] ?? "");
  return hdrs;
}

function checkReserved(name: string, values: readonly string[]): void {
  const lower = name.toLowerCase();
  if (lower === "nats-rollup" && values.some((value) => value.trim() !== "sub")) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `header ${name} is "${values.join(", ")}": a fenced write may only have "sub", because another rollup would remove the fence`,
    );
  }
  if (ALLOWED.has(lower)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `header ${name} is reserved: of the names that begin with Nats- a fenced write may have Nats-Msg-Id, Nats-TTL and Nats-Rollup; remove it`,
  );
}

function append(hdrs: MsgHdrs, name: string, value: string): void {
  try {
    hdrs.append(name, value);
  } catch (thrown) {
    throw new ClusterError("INVALID_CONFIG", `header "${name}" is invalid: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}
