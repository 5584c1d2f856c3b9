/**
 * Spans by the API of OpenTelemetry. A term is a span, which ends with the term. Its hooks and drain are its children, and so are
 * handovers and suspensions of a node; they are exported when they end. A suspicion is a span of its own: the node that has it does not lead. Renewals that were not applied
 * are events of the term's span.
 *
 * What an application does in a hook or in its work is not a child: the channels report what has happened, and cannot enter it.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { ChannelEvents, ChannelName, Emitted, TermTrace } from "../channels/events.ts";
import type { Source } from "../channels/source.ts";

/** A term that was not given up by this node or member, or only because its application failed. */
const LOST: ReadonlySet<string> = new Set([
  "expired",
  "superseded",
  "deleted",
  "fenced",
  "hook-failed",
  "refused",
]);

/** Events of one span. A term may last for months. */
const MAX_EVENTS = 64;
/** Terms that have ended, and whose drain or hooks may follow. */
const MAX_ENDED = 256;

interface TermSpan {
  readonly span: Span;
  readonly context: Context;
  events: number;
}

type EmittedName = Exclude<ChannelName, "nats-leader:fenced-write">;

export interface SpanOptions {
  /** Spans of the terms of single resources, and of their hooks and drains. */
  readonly resources: boolean;
}

/** Makes the spans of one source, until the result is called: those of running terms end then. */
export function spansOf(source: Source, tracer: Tracer, options: SpanOptions): () => void {
  return new SourceSpans(source, tracer, options).begin();
}

class SourceSpans {
  readonly #source: Source;
  readonly #tracer: Tracer;
  readonly #options: SpanOptions;
  readonly #running = new Map<string, TermSpan>();
  readonly #ended = new Map<string, TermSpan>();
  #isWarned = false;

  constructor(source: Source, tracer: Tracer, options: SpanOptions) {
    this.#source = source;
    this.#tracer = tracer;
    this.#options = options;
  }

  begin(): () => void {
    const listeners = [
      this.#on("tracing:nats-leader:term:start", (term) => this.#termBegins(term)),
      this.#on("tracing:nats-leader:term:end", (term) => this.#termEnds(term)),
      this.#on("nats-leader:hook", (hook) => {
        if (!this.#wants(hook.resource)) return;
        const { failed, durationMs, epoch } = hook;
        const attributes = { "nats_leader.hook": hook.hook };
        this.#past(
          `nats-leader ${hook.hook}`,
          hook,
          durationMs,
          attributes,
          failed,
          this.#contextOf(hook, epoch),
        );
      }),
      this.#on("nats-leader:drain", (drain) => {
        if (!this.#wants(drain.resource)) return;
        const { durationMs, reason, outcome, epoch } = drain;
        const attributes = { "nats_leader.reason": reason, "nats_leader.outcome": outcome };
        const isLate = outcome === "timed-out";
        this.#past("nats-leader drain", drain, durationMs, attributes, isLate, this.#contextOf(drain, epoch));
      }),
      this.#on("nats-leader:handover", (handover) => {
        const { durationMs, to, outcome } = handover;
        const attributes = { "nats_leader.successor": to, "nats_leader.outcome": outcome };
        this.#past(
          "nats-leader handover",
          handover,
          durationMs,
          attributes,
          outcome !== "completed",
          this.#newest(),
        );
      }),
      this.#on("nats-leader:resumed", (resumed) => {
        const { durationMs, held } = resumed;
        const attributes = { "nats_leader.held": held };
        this.#past("nats-leader suspension", resumed, durationMs, attributes, !held, this.#newest());
      }),
      this.#on("nats-leader:suspicion", (suspicion) => {
        const { durationMs, of, cause, outcome } = suspicion;
        const attributes = {
          "nats_leader.holder": of,
          "nats_leader.cause": cause,
          "nats_leader.outcome": outcome,
        };
        this.#past("nats-leader suspicion", suspicion, durationMs, attributes, false, ROOT_CONTEXT);
      }),
      this.#on("nats-leader:renewal", ({ result, durationMs, marginMs }) => {
        if (result === "applied") return;
        for (const term of this.#running.values())
          addEvent(term, `renewal ${result}`, {
            "nats_leader.duration_ms": durationMs,
            "nats_leader.margin_ms": marginMs,
          });
      }),
    ];
    for (const [name, listener] of listeners) subscribe(name, listener);
    return () => {
      for (const [name, listener] of listeners) unsubscribe(name, listener);
      for (const { span } of this.#running.values()) span.end();
      this.#running.clear();
      this.#ended.clear();
    };
  }

  #termBegins(term: TermTrace): void {
    if (!this.#wants(term.resource ?? null)) return;
    const span = this.#tracer.startSpan(
      "nats-leader term",
      {
        startTime: term.acquiredAt,
        attributes: { ...this.#attributes(term), "nats_leader.epoch": term.epoch },
      },
      ROOT_CONTEXT,
    );
    this.#running.set(keyOf(term), { span, context: trace.setSpan(ROOT_CONTEXT, span), events: 0 });
  }

  #termEnds(term: TermTrace): void {
    const key = keyOf(term);
    const running = this.#running.get(key);
    if (running === undefined) return;
    this.#running.delete(key);
    const { reason = "" } = term;
    running.span.setAttribute("nats_leader.reason", reason);
    if (LOST.has(reason)) running.span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
    running.span.end();
    this.#ended.set(key, running);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= MAX_ENDED) break;
      this.#ended.delete(oldest);
    }
  }

  /** A span of what has ended now. */
  #past(
    name: string,
    emitted: Emitted & { readonly epoch?: number | null; readonly resource?: string | null },
    durationMs: number,
    attributes: Attributes,
    failed: boolean,
    context: Context,
  ): void {
    const endTime = Date.now();
    const { epoch } = emitted;
    const all = {
      ...this.#attributes(emitted),
      ...(typeof epoch === "number" ? { "nats_leader.epoch": epoch } : {}),
      ...attributes,
    };
    const span = this.#tracer.startSpan(name, { startTime: endTime - durationMs, attributes: all }, context);
    if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(endTime);
  }

  #attributes({ incarnation, resource }: Emitted & { readonly resource?: string | null }): Attributes {
    const source = this.#source;
    const names =
      source.kind === "node"
        ? { "nats_leader.cluster": source.clusterId, "nats_leader.node": source.nodeId }
        : { "nats_leader.group": source.groupId, "nats_leader.node": source.memberId };
    return {
      ...names,
      "nats_leader.incarnation": incarnation,
      ...(typeof resource === "string" ? { "nats_leader.resource": resource } : {}),
    };
  }

  /** The spans of resources are wanted, or this is none of them. */
  #wants(resource: string | null): boolean {
    return resource === null || this.#options.resources;
  }

  #contextOf(emitted: Emitted & { readonly resource: string | null }, epoch: number | null): Context {
    if (epoch === null) return ROOT_CONTEXT;
    const key = keyOf({ ...emitted, epoch });
    return (this.#running.get(key) ?? this.#ended.get(key))?.context ?? ROOT_CONTEXT;
  }

  /** Of the term of a node that runs, or has ended last. A member has many. */
  #newest(): Context {
    if (this.#source.kind === "group") return ROOT_CONTEXT;
    const term = [...this.#running.values()].at(-1) ?? [...this.#ended.values()].at(-1);
    return term?.context ?? ROOT_CONTEXT;
  }

  #on<N extends EmittedName>(
    name: N,
    handle: (event: ChannelEvents[N]) => void,
  ): readonly [N, (message: unknown) => void] {
    return [
      name,
      (message) => {
        const event = message as ChannelEvents[N];
        if (event.source !== this.#source) return;
        try {
          handle(event);
        } catch (error) {
          // An exception in a subscriber would end the process.
          if (this.#isWarned) return;
          this.#isWarned = true;
          process.emitWarning(`spans of nats-leader are missing: ${String(error)}`);
        }
      },
    ];
  }
}

function keyOf({
  incarnation,
  epoch,
  resource,
}: {
  readonly incarnation: string;
  readonly epoch: number;
  readonly resource?: string | null;
}): string {
  return `${incarnation} ${epoch} ${resource ?? ""}`;
}

function addEvent(term: TermSpan, name: string, attributes: Attributes): void {
  if (term.events >= MAX_EVENTS) return;
  term.events += 1;
  term.span.addEvent(name, attributes);
}
