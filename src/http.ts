/**
 * nats-leader/http: health, leadership, status and metrics of a process over HTTP, as a Fetch handler and as a server.
 *
 * docs/http.md describes the routes and their answers.
 */
export type { MemberReport } from "./group/report.ts";
export { createHandler, type Handler } from "./http/handler.ts";
export { nodeListener } from "./http/node-listener.ts";
export type { HandlerOptions, MetricsSource, Mount } from "./http/options.ts";
export { type HttpServer, type HttpServerOptions, startHttpServer } from "./http/server.ts";
export type { MemberEntry, NodeEntry, ProcessStatus } from "./http/status.ts";
export type { NodeHolder, OwnerView, ServedMember, ServedNode, TermView } from "./http/views.ts";
export type { NodeReport } from "./node/report.ts";
export type { MetricsText } from "./telemetry/metrics-text.ts";
