/** `GET /metrics` of the exporter. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { addressText, type ListenAddress } from "../../config/listen.ts";
import { listenError } from "../../config/listen-error.ts";
import { messageOf } from "../../errors.ts";
import type { Exporter } from "./exporter.ts";

/** For a request to arrive. A scrape is one short request. */
const REQUEST_MS = 5_000;
const MAX_CONNECTIONS = 100;

export interface ServedExporter {
  readonly url: string;
  close(): Promise<void>;
}

/** @throws ClusterError `LISTEN_FAILED` if the address cannot be listened on. */
export async function serveExporter(exporter: Exporter, address: ListenAddress): Promise<ServedExporter> {
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      void answer(exporter, request, response);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(addressText(address), error)));
    server.listen(address.port, address.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${addressText({ host: address.host, port })}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(exporter: Exporter, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.setHeader("cache-control", "no-store");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    response.writeHead(405).end("only GET and HEAD\n");
    return;
  }
  if (request.url?.split("?")[0] !== "/metrics") {
    response.writeHead(404).end("the metrics are at /metrics\n");
    return;
  }
  try {
    const { text } = await exporter.read();
    response.writeHead(200, { "content-type": exporter.contentType }).end(text);
  } catch (error) {
    response.writeHead(500).end(`the servers cannot be read: ${messageOf(error)}\n`);
  }
}
