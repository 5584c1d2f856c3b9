/** Actions of other clients on the bucket: operators, tools, nodes of another kind. */
import { headers } from "@nats-io/transport-node";
import { JsCode } from "../../../src/nats/api/js-api.ts";
import { classify } from "../../../src/nats/api/request.ts";
import { encodeRecord } from "../../../src/nats/lease/record-codec.ts";
import { bucketName, leaseSubject, streamName } from "../../../src/nats/names.ts";
import { waitFor } from "../../shared/wait.ts";
import type { Lane } from "../nats-lane.ts";
import { foreignRecord } from "./bucket-world.ts";
import type { Foreign, Step } from "./operations.ts";

const TIMEOUT_MS = 5000;
/** The shortest max-age that the server accepts. */
const SHORT_AGE_NANOS = 100_000_000;
const EXPIRY_TIMEOUT_MS = 15_000;

/** Headers of writes that are not records. */
const FOREIGN_HEADERS: Partial<Record<Foreign, Readonly<Record<string, string>>>> = {
  "delete-marker": { "KV-Operation": "DEL" },
  "purge-marker": { "KV-Operation": "PURGE", "Nats-Rollup": "sub" },
  "our-marker": { "KV-Operation": "DEL", "Nats-Leader-Epoch": "8", "Nats-Leader-Incarnation": "x1" },
};

/** Acts on the bucket of one cluster without a node. */
export class BucketOperator {
  readonly #lane: Lane;
  readonly #clusterId: string;
  readonly #maxAgeMs: number;

  constructor(lane: Lane, clusterId: string, maxAgeMs: number) {
    this.#lane = lane;
    this.#clusterId = clusterId;
    this.#maxAgeMs = maxAgeMs;
  }

  /** Returns the outcome. */
  async run(step: Step): Promise<string> {
    const stream = streamName(this.#clusterId);
    const subject = leaseSubject(this.#clusterId);
    switch (step.do) {
      case "force":
        return this.#publish(subject, foreignData(step.what), FOREIGN_HEADERS[step.what]);
      case "other-key":
        return this.#publish(`$KV.${bucketName(this.#clusterId)}.other`, new Uint8Array([1]));
      case "purge-key":
      case "purge-stream": {
        const filter = step.do === "purge-key" ? { filter: subject } : {};
        const answer = await this.#lane.api(`STREAM.PURGE.${stream}`, filter);
        const count = step.do === "purge-key" ? ` ${String(answer["purged"])}` : "";
        return outcomeOf(answer, `purged${count}`);
      }
      case "delete-message":
        return this.#deleteMessage();
      case "delete-bucket":
        return outcomeOf(await this.#lane.api(`STREAM.DELETE.${stream}`), "deleted");
      case "expire":
        return this.#expire();
      case "restart":
        if (this.#lane.target.restart === undefined)
          throw new Error("cannot restart the server: other lanes use it");
        await this.#lane.target.restart(step.how);
        await this.#lane.connected();
        return "restarted";
      default:
        throw new Error(`bug: ${step.do} is not an operator's step`);
    }
  }

  async #publish(
    subject: string,
    data: Uint8Array,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const hdrs = headers();
    for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
    try {
      const answer = await this.#lane.operator.request(subject, data, { timeout: TIMEOUT_MS, headers: hdrs });
      const { seq, error } = answer.json<{ seq?: number; error?: unknown }>();
      return error === undefined ? `applied at ${seq}` : JSON.stringify(error);
    } catch (error) {
      if (classify(subject, TIMEOUT_MS, error).kind === "no-responders") return "no bucket";
      throw error;
    }
  }

  async #deleteMessage(): Promise<string> {
    const found = await this.#lastMessage();
    if (typeof found === "string") return found === "none" ? "nothing to delete" : found;
    const answer = await this.#lane.api(`STREAM.MSG.DELETE.${streamName(this.#clusterId)}`, { seq: found });
    const { description } = (answer["error"] ?? {}) as { description?: string };
    return description === "message delete not permitted" ? "refused" : JSON.stringify(answer);
  }

  /** Waits for the expiry. A bucket without max-age temporarily gets one. */
  async #expire(): Promise<string> {
    const found = await this.#lastMessage();
    if (typeof found === "string") return found === "none" ? "nothing to expire" : found;
    const stream = streamName(this.#clusterId);
    const { config } = (await this.#lane.api(`STREAM.INFO.${stream}`)) as { config: object };
    if (this.#maxAgeMs === 0) {
      const short = { max_age: SHORT_AGE_NANOS, duplicate_window: SHORT_AGE_NANOS };
      await this.#update({ ...config, ...short });
    }
    await waitFor(async () => (await this.#lastMessage()) === "none", {
      timeoutMs: EXPIRY_TIMEOUT_MS,
      intervalMs: 20,
      message: "the message to expire",
    });
    if (this.#maxAgeMs === 0) await this.#update(config);
    return "expired";
  }

  async #update(config: object): Promise<void> {
    const answer = await this.#lane.api(`STREAM.UPDATE.${streamName(this.#clusterId)}`, config);
    if (answer["error"] !== undefined) throw new Error(`update: ${JSON.stringify(answer["error"])}`);
  }

  /** Returns its sequence. */
  async #lastMessage(): Promise<number | "none" | "no bucket"> {
    const query = { last_by_subj: leaseSubject(this.#clusterId) };
    const answer = await this.#lane.api(`STREAM.MSG.GET.${streamName(this.#clusterId)}`, query);
    const { err_code } = (answer["error"] ?? {}) as { err_code?: number };
    if (err_code === JsCode.noMessageFound) return "none";
    if (err_code === JsCode.streamNotFound) return "no bucket";
    return (answer["message"] as { seq: number }).seq;
  }
}

function foreignData(what: Foreign): Uint8Array {
  if (what === "go-record" || what === "our-record") return encodeRecord(foreignRecord(what, 7));
  return new TextEncoder().encode(what === "garbage" ? "\u0000not a record" : "");
}

function outcomeOf(answer: Readonly<Record<string, unknown>>, success: string): string {
  const { err_code } = (answer["error"] ?? {}) as { err_code?: number };
  if (err_code === JsCode.streamNotFound) return "no bucket";
  return answer["success"] === true ? success : JSON.stringify(answer);
}
