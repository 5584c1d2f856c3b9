import { connect } from "node:net";

const INFO_LIMIT = 1 << 16;

/** The fields of a server's INFO line that are used here. */
export interface ServerInfo {
  readonly server_id: string;
  readonly server_name: string;
  readonly version: string;
}

/** Reads the INFO line that a nats-server sends first; undefined if none arrives within `timeoutMs`. */
export function readInfo(host: string, port: number, timeoutMs: number): Promise<ServerInfo | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let text = "";
    const finish = (info: ServerInfo | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(info);
    };
    const timer = setTimeout(() => finish(undefined), timeoutMs);
    socket.setEncoding("utf8");
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\r\n");
      if (end >= 0) finish(parseInfo(text.slice(0, end)));
      else if (text.length > INFO_LIMIT) finish(undefined);
    });
  });
}

function parseInfo(line: string): ServerInfo | undefined {
  if (!line.startsWith("INFO ")) return undefined;
  try {
    const info: unknown = JSON.parse(line.slice("INFO ".length));
    return isServerInfo(info) ? info : undefined;
  } catch {
    return undefined; // not a nats-server: the caller retries until its deadline
  }
}

function isServerInfo(value: unknown): value is ServerInfo {
  return typeof value === "object" && value !== null && "server_name" in value && "version" in value;
}

/** GETs a monitoring endpoint; undefined if it does not answer within `timeoutMs`. */
export async function readMonitor(
  url: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: unknown } | undefined> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(timeoutMs),
      headers: { connection: "close" },
    });
    const body: unknown = await response.json();
    return { status: response.status, body };
  } catch {
    return undefined; // starting, stopping or frozen: the caller decides how long to retry
  }
}
