/**
 * nats-leader/telemetry: metrics and spans of nodes and members, by the API of OpenTelemetry (`@opentelemetry/api`, a peer dependency).
 * docs/telemetry.md describes each of them.
 */
export { type InstrumentOptions, instrument } from "./telemetry/instrument.ts";
