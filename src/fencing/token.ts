/**
 * A term's epoch as a fencing token: how a sender attaches it and how a receiver reads it.
 *
 * A token is an integer from 1 to 2^52, the largest epoch of an election. Received values are foreign: reading one never throws, and a value that is not a token
 * reads as `null`.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { ClusterError } from "../errors.ts";
import type { Term } from "../node/term.ts";
import { isToken } from "./compare.ts";

/** The header with the token, in NATS and HTTP messages. */
export const EPOCH_HEADER = "Nats-Leader-Epoch";

/** The header with what the token can be compared with: the `clusterId` of the term, percent-encoded. */
export const CLUSTER_HEADER = "Nats-Leader-Cluster";

/** A term, or its epoch. */
export type TokenSource = number | (Pick<Term, "epoch"> & Partial<Pick<Term, "clusterId">>);

/**
 * The identity of a term, as a fence stores it. A `Term` has all of it. With `clusterId` the fence of a stream or bucket refuses the
 * terms of other clusters.
 */
export type FenceTerm = Pick<Term, "epoch" | "nodeId" | "incarnation"> & Partial<Pick<Term, "clusterId">>;

/** The part of a NATS message's headers that is read. Structural, so that it accepts messages of any installed nats.js. */
export interface NatsHeaders {
  values(name: string): string[];
}

/** Headers of an HTTP message: `Headers` of `fetch`, `IncomingMessage.headers` of Node, or a record with lower-case names. */
export type HttpHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * The token of a term or epoch, for a sender.
 *
 * @throws ClusterError `INVALID_CONFIG` for a value that is not an integer from 1 to 2^52.
 */
export function tokenOf(source: TokenSource): number {
  const epoch = typeof source === "number" ? source : source.epoch;
  if (isToken(epoch)) return epoch;
  throw new ClusterError(
    "INVALID_CONFIG",
    `a fencing token is an integer from 1 to 2^52, not ${String(epoch)}`,
  );
}

/** The token in a header value. `null` unless the value is a decimal number without sign, leading zeros or blanks. */
export function parseToken(text: string): number | null {
  if (!/^[1-9][0-9]{0,15}$/.test(text)) return null;
  const value = Number(text);
  return isToken(value) ? value : null;
}

/** The cluster id of a term as a header value: the name of a resource may have any characters. */
function clusterHeader(source: TokenSource): string | null {
  const clusterId = typeof source === "number" ? undefined : source.clusterId;
  return clusterId === undefined ? null : encodeURIComponent(clusterId).replaceAll("%2F", "/");
}

/** Longest value that is decoded. A resource has at most 255 bytes. */
const MAX_CLUSTER_HEADER = 1_024;

function parseCluster(text: string | undefined): string | null {
  if (text === undefined || text === "" || text.length > MAX_CLUSTER_HEADER) return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/**
 * Headers with the token, for an outgoing NATS message. Those of a term also have its `clusterId`, for receivers that admit the terms of one
 * cluster or resource only.
 *
 * @param into - Headers in which the token is set, replacing an earlier one.
 * @default `into` is a new set of headers.
 * @throws ClusterError `INVALID_CONFIG` for a value that is not a token.
 * @example
 * ```ts
 * await connection.request("print", "page 1", { timeout: 1000, headers: natsHeaders(term) });
 * ```
 */
export function natsHeaders(source: TokenSource, into: MsgHdrs = headers()): MsgHdrs {
  into.set(EPOCH_HEADER, String(tokenOf(source)));
  const clusterId = clusterHeader(source);
  if (clusterId === null) into.delete(CLUSTER_HEADER);
  else into.set(CLUSTER_HEADER, clusterId);
  return into;
}

/**
 * Headers with the token, for an outgoing HTTP request; as `natsHeaders()`.
 *
 * @throws ClusterError `INVALID_CONFIG` for a value that is not a token.
 * @example
 * ```ts
 * await fetch(url, { method: "POST", headers: { ...httpHeaders(term), "content-type": "text/plain" } });
 * ```
 */
export function httpHeaders(source: TokenSource): Record<string, string> {
  const clusterId = clusterHeader(source);
  return {
    [EPOCH_HEADER.toLowerCase()]: String(tokenOf(source)),
    ...(clusterId === null ? {} : { [CLUSTER_HEADER.toLowerCase()]: clusterId }),
  };
}

/** The token of a received NATS message; `null` if it has none, more than one, or an invalid one. Never throws. */
export function tokenFromNats(from: NatsHeaders | undefined): number | null {
  const value = onlyValue(from, EPOCH_HEADER);
  return value === undefined ? null : parseToken(value);
}

/**
 * The `clusterId` of the term from which a received NATS message is; `null` if it names none, more than one, or an invalid one. Never
 * throws.
 */
export function clusterIdFromNats(from: NatsHeaders | undefined): string | null {
  return parseCluster(onlyValue(from, CLUSTER_HEADER));
}

function onlyValue(from: NatsHeaders | undefined, name: string): string | undefined {
  const values = from?.values(name) ?? [];
  return values.length > 1 ? undefined : values[0];
}

/** The token of a received HTTP request; `null` if it has none, more than one, or an invalid one. Never throws. */
export function tokenFromHttp(from: HttpHeaders): number | null {
  const value = httpValue(from, EPOCH_HEADER);
  return value === undefined ? null : parseToken(value);
}

/** The `clusterId` of the term from which a received HTTP request is; as `clusterIdFromNats()`. */
export function clusterIdFromHttp(from: HttpHeaders): string | null {
  return parseCluster(httpValue(from, CLUSTER_HEADER));
}

function httpValue(from: HttpHeaders, header: string): string | undefined {
  const name = header.toLowerCase();
  const value =
    typeof from["get"] === "function"
      ? (from as { get(name: string): string | null }).get(name)
      : (from as Readonly<Record<string, string | readonly string[] | undefined>>)[name];
  return typeof value === "string" ? value : undefined;
}
