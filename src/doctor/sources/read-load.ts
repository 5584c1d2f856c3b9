/** Decodes how much a server has to do, and how its connections fare. */
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { ClosedConnections, OpenConnections, ServerFacts, Traffic } from "../facts.ts";
import { listIn, numberIn, objectIn, textIn, timeIn } from "./json.ts";

const IDLE_MS = 3_600_000;
const LATELY_MS = 60_000;

export function readTraffic(varz: JsonObject | null): Traffic | null {
  const [inMsgs, outMsgs, inBytes, outBytes] = ["in_msgs", "out_msgs", "in_bytes", "out_bytes"].map((field) =>
    numberIn(varz, field),
  );
  if (inMsgs == null || outMsgs == null || inBytes == null || outBytes == null) return null;
  return { inMsgs, outMsgs, inBytes, outBytes };
}

export function readApi(jsz: JsonObject | null): ServerFacts["api"] {
  const api = objectIn(jsz, "api");
  const requests = numberIn(api, "total");
  // The server omits the number while it is 0.
  return requests === null ? null : { requests, errors: numberIn(api, "errors") ?? 0 };
}

/** Servers from 2.10 on have several routes to each other: their bytes are added up. */
export function readRoutePending(routez: JsonObject): ServerFacts["routePending"] {
  const bytes = new Map<string, number>();
  for (const route of listIn(routez, "routes")) {
    const to = textIn(route, "remote_name") ?? textIn(route, "remote_id");
    if (to !== null) bytes.set(to, (bytes.get(to) ?? 0) + (numberIn(route, "pending_size") ?? 0));
  }
  return [...bytes].map(([to, sum]) => ({ to, bytes: sum })).sort((a, b) => (a.to < b.to ? -1 : 1));
}

/** @param connz The answer to `OPEN_OPTIONS`. */
export function readOpen(connz: JsonObject | null): OpenConnections | null {
  const total = numberIn(connz, "total");
  const now = timeIn(connz, "now");
  if (total === null || now === null) return null;
  const listed = listIn(connz, "connections").map((one) => ({
    id: numberIn(one, "cid") ?? 0,
    name: textIn(one, "name"),
    pendingBytes: numberIn(one, "pending_bytes") ?? 0,
    activeAt: timeIn(one, "last_activity") ?? now,
  }));
  const [first] = [...listed].sort((a, b) => b.pendingBytes - a.pendingBytes);
  return {
    total,
    listed: listed.length,
    idle: listed.filter(({ activeAt }) => now - activeAt >= IDLE_MS).length,
    pendingBytes: listed.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0),
    slowest:
      first === undefined || first.pendingBytes === 0
        ? null
        : { id: first.id, name: first.name, pendingBytes: first.pendingBytes },
  };
}

/** @param closedz The answer to `CLOSED_OPTIONS`. */
export function readClosed(closedz: JsonObject | null): ClosedConnections | null {
  const now = timeIn(closedz, "now");
  if (now === null) return null;
  const reasons = listIn(closedz, "connections")
    .filter((one) => now - (timeIn(one, "stop") ?? 0) < LATELY_MS)
    .map((one) => textIn(one, "reason") ?? "");
  const count = (reason: RegExp): number => reasons.filter((one) => reason.test(one)).length;
  return {
    all: reasons.length,
    authentication: count(/^Authentication /),
    slow: count(/^Slow Consumer/),
    stale: count(/^Stale Connection/),
  };
}
