/**
 * A term's epoch as a fencing token: how it travels, and how it is read at the other end.
 *
 * A token is a positive safe integer. What arrives is foreign: reading it never throws, and anything that is not a token
 * reads as `null`.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { ClusterError } from "../errors.ts";
import type { Term } from "../node/term.ts";
import { isToken } from "./compare.ts";

/** Carries the token in NATS and HTTP messages. HTTP compares header names without regard to case. */
export const EPOCH_HEADER = "Nats-Leader-Epoch";

/** Where a token comes from: the running term, or its epoch. */
export type TokenSource = number | Pick<Term, "epoch">;

/** Who holds a fence. A `Term` is one. */
export type FenceTerm = Pick<Term, "epoch" | "nodeId" | "incarnation">;

/** What is read of a NATS message's headers; those of every copy of nats.js fit. */
export interface NatsHeaders {
  values(name: string): string[];
}

/** Headers of an HTTP message: `fetch`'s, Node's `IncomingMessage.headers`, or anything with lower-case names. */
export type HttpHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** The token itself. Throws `INVALID_CONFIG` for what can't be one: that is a mistake of the sender. */
export function tokenOf(source: TokenSource): number {
  const epoch = typeof source === "number" ? source : source.epoch;
  if (isToken(epoch)) return epoch;
  throw new ClusterError("INVALID_CONFIG", `a fencing token is a positive integer, not ${String(epoch)}`);
}

/** A token as text, written as we write it: digits only. `null` for anything else. */
export function parseToken(text: string): number | null {
  if (!/^[1-9][0-9]{0,15}$/.test(text)) return null;
  const value = Number(text);
  return isToken(value) ? value : null;
}

/** Headers for an outgoing NATS message: new ones, or `into` with the token set. */
export function natsHeaders(source: TokenSource, into: MsgHdrs = headers()): MsgHdrs {
  into.set(EPOCH_HEADER, String(tokenOf(source)));
  return into;
}

/** Headers for an outgoing HTTP request, to be spread into others. */
export function httpHeaders(source: TokenSource): Record<string, string> {
  return { [EPOCH_HEADER.toLowerCase()]: String(tokenOf(source)) };
}

/** The token of a NATS message that arrived; `null` without one, or with more than one. */
export function tokenFromNats(from: NatsHeaders | undefined): number | null {
  const values = from?.values(EPOCH_HEADER) ?? [];
  const [value] = values;
  return value === undefined || values.length > 1 ? null : parseToken(value);
}

/** The token of an HTTP request that arrived; `null` without one, or with more than one. */
export function tokenFromHttp(from: HttpHeaders): number | null {
  const name = EPOCH_HEADER.toLowerCase();
  const value =
    typeof from["get"] === "function"
      ? (from as { get(name: string): string | null }).get(name)
      : (from as Readonly<Record<string, string | readonly string[] | undefined>>)[name];
  return typeof value === "string" ? parseToken(value) : null;
}
