/** Requests that change something: who may send them, what they say, and carrying them out. */
import { timingSafeEqual } from "node:crypto";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../log/logger.ts";
import { printableJson } from "../../log/printable.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { askMember } from "../../manager/group-client.ts";
import { handOver, stepDownNode } from "../../manager/operations.ts";
import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";
import { isId } from "../../nats/identity.ts";
import type { ControlAnswer, ControlRequest } from "../model/types.ts";

/** Carries the token of the page. A request of another site cannot have it without the server's consent. */
export const TOKEN_HEADER = "x-nats-leader-token";
const MAX_BODY_BYTES = 4_096;
/** Within it the work of the leader must have ended. */
const LIMIT_MS = 15_000;
/** Requests that are carried out at the same time. */
const MOST_AT_ONCE = 4;

export interface ControlOptions {
  /** `null` while there is no connection. */
  readonly client: () => ClusterClient | null;
  readonly token: string;
  readonly logger: Logger;
}

export function logRefusal(logger: Logger, reason: string, from: string): void {
  logger.warn({ event: "ui-control", from, ok: false, reason }, `request refused: ${reason}`);
}

/** What refuses a request: the status of the answer, and why. */
interface Refusal {
  readonly status: number;
  readonly error: string;
}

export class Control {
  readonly #o: ControlOptions;
  #running = 0;

  constructor(options: ControlOptions) {
    this.#o = options;
  }

  /** @param from - The address of the client, for the log. */
  async answer(request: Request, from: string): Promise<Response> {
    const refusal = refusalOf(request, this.#o.token);
    if (refusal !== null) return this.#refused(refusal, from);
    const wanted = controlRequestOf(await bodyOf(request));
    if (typeof wanted === "string") return this.#refused({ status: 400, error: wanted }, from);
    const client = this.#o.client();
    if (client === null) return this.#refused({ status: 503, error: "there is no connection to NATS" }, from);
    if (this.#running >= MOST_AT_ONCE)
      return this.#refused({ status: 429, error: "other requests are still being carried out" }, from);
    this.#running += 1;
    const { confirm: _, ...what } = wanted;
    const fields = { event: "ui-control", from, ...what };
    this.#o.logger.info(fields, `${textOf(wanted)}: requested from the page`);
    try {
      const text = await carryOut(client, wanted);
      this.#o.logger.info({ ...fields, ok: true }, `${textOf(wanted)}: done`);
      return json(200, { ok: true, text });
    } catch (thrown) {
      const error = messageOf(thrown);
      this.#o.logger.warn({ ...fields, ok: false, reason: error }, `${textOf(wanted)}: failed`);
      return json(409, { ok: false, error });
    } finally {
      this.#running -= 1;
    }
  }

  #refused({ status, error }: Refusal, from: string): Response {
    logRefusal(this.#o.logger, error, from);
    return json(status, { ok: false, error });
  }
}

/** For a server that changes nothing. */
export function controlDenied(logger: Logger, from: string): Response {
  const error = "this page is read-only: it is not of nats-leader ui --allow-control";
  logRefusal(logger, error, from);
  return json(403, { ok: false, error });
}

/** Why this request may not change anything; `null`: it may. Headers only: the body is not read before. */
function refusalOf(request: Request, token: string): Refusal | null {
  const { headers } = request;
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") return { status: 415, error: "the content type must be application/json" };
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  const isOwn = origin === null ? site === "same-origin" : hostIn(origin) === new URL(request.url).host;
  if (!isOwn || (site !== null && site !== "same-origin"))
    return { status: 403, error: "the request does not come from the page of this server" };
  if (!isEqual(headers.get(TOKEN_HEADER) ?? "", token))
    return { status: 403, error: "the page is of an earlier run of this server: load it again" };
  return null;
}

function hostIn(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

async function bodyOf(request: Request): Promise<JsonObject | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > MAX_BODY_BYTES) return null;
    parts.push(part);
  }
  return parseObject(Buffer.concat(parts));
}

/** Why it is no request, or the request. */
export function controlRequestOf(body: JsonObject | null): ControlRequest | string {
  if (body === null) return `the body must be a JSON object of at most ${MAX_BODY_BYTES} bytes`;
  const { action, cluster, node, group, member, confirm } = body;
  switch (action) {
    case "step-down":
    case "handover":
      if (!isId(cluster) || !isId(node)) return "cluster and node must be ids";
      return confirm === node ? { action, cluster, node, confirm } : notConfirmed(node);
    case "drain":
    case "rejoin":
      if (!isId(group) || !isId(member)) return "group and member must be ids";
      return confirm === member ? { action, group, member, confirm } : notConfirmed(member);
    default:
      return "action must be step-down, hand-over, drain or rejoin";
  }
}

function notConfirmed(name: string): string {
  return `confirm must be "${name}": nothing was changed`;
}

function textOf(wanted: ControlRequest): string {
  return "cluster" in wanted
    ? `${wanted.action} of node "${wanted.node}" in cluster "${wanted.cluster}"`
    : `${wanted.action} of member "${wanted.member}" in group "${wanted.group}"`;
}

async function carryOut(client: ClusterClient, wanted: ControlRequest): Promise<string> {
  if ("group" in wanted) {
    const { group, member, action } = wanted;
    await askMember(client, group, member, action);
    return action === "drain" ? `${member} gives up its resources` : `${member} takes resources again`;
  }
  const { cluster, node } = wanted;
  const ofCluster = client.of(cluster);
  try {
    if (wanted.action === "handover") {
      const { epoch, tookMs, already } = await handOver(ofCluster, node, LIMIT_MS);
      return already ? `${node} already leads` : `${node} leads, epoch ${epoch}, after ${tookMs} ms`;
    }
    const situation = await ofCluster.situation();
    if (situation.leader !== node) {
      const who = situation.leader === null ? "there is no leader" : `${situation.leader} leads`;
      throw new Error(`${node} does not lead: ${who}. Nothing was changed`);
    }
    await stepDownNode(ofCluster, node, undefined, situation, LIMIT_MS);
    return `${node} has stepped down`;
  } finally {
    await ofCluster.close();
  }
}

function json(status: number, answer: ControlAnswer): Response {
  return new Response(printableJson(answer), { status, headers: { "content-type": "application/json" } });
}
