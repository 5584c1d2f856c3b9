import { type Meter, metrics, type Tracer, trace } from "@opentelemetry/api";
import { recorderOf } from "./opentelemetry.ts";
import { observable } from "./recorder.ts";
import { spansOf } from "./spans.ts";

export interface InstrumentOptions {
  /**
   * Where metrics go; `null`: there are none.
   *
   * @default The meter "nats-leader" of the global provider, which has to be registered before.
   */
  readonly meter?: Meter | null;
  /**
   * Where spans go; `null`: there are none.
   *
   * @default The tracer "nats-leader" of the global provider.
   */
  readonly tracer?: Tracer | null;
  /**
   * Spans of the terms of single resources of a group, with their hooks and drains. A member may own thousands.
   *
   * @default false
   */
  readonly resourceSpans?: boolean;
}

/**
 * Reports a `Node` or a `Group` to OpenTelemetry from now on. Call it before `start()`: what has happened before is not counted.
 *
 * @returns The end of that. Idempotent.
 * @throws ClusterError `INVALID_CONFIG` for anything but a `Node` or a `Group`.
 * @example
 * ```ts
 * const node = new Node({ clusterId: "billing", servers });
 * instrument(node);
 * await node.start();
 * ```
 */
export function instrument(owner: object, options: InstrumentOptions = {}): () => void {
  const { meter = metrics.getMeter(NAME), tracer = trace.getTracer(NAME), resourceSpans = false } = options;
  const source = observable(owner);
  const ends: (() => void)[] = [];
  if (meter !== null) ends.push(recorderOf(meter).observe(owner));
  if (tracer !== null) ends.push(spansOf(source, tracer, { resources: resourceSpans }));
  return () => {
    for (const end of ends.splice(0)) end();
  };
}

const NAME = "nats-leader";
