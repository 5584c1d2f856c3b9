/** Monitoring ports of NATS servers: a URL, a host with or without a port, or an object of a list of servers. */
import { isTree } from "./tree.ts";

/** The port in NATS's own documentation and examples. */
const DEFAULT_PORT = 8222;
/** How lists of servers call it. */
const PORT_NAMES = ["monitoringPort", "monitoring_port", "monitor_port", "http_port"];
const HOST = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$/;

/** `null`: no URL of http or https, and no host. Without a scheme it is http, and without a scheme and a port the port is 8222. */
export function monitorUrl(text: string): URL | null {
  const given = text.trim();
  const full = given.includes("://")
    ? given
    : `http://${HOST.test(given) ? `${given}:${DEFAULT_PORT}` : given}`;
  return /^https?:/i.test(full) && URL.canParse(full) ? new URL(full) : null;
}

/** What is no text and no such object is kept: validation refuses it and quotes it. */
export function monitorList(value: unknown): unknown {
  const items: readonly unknown[] | null =
    typeof value === "string" ? [value] : Array.isArray(value) ? value : null;
  if (items === null) return value;
  return items.flatMap((item) => {
    if (typeof item !== "string") return [ofServer(item)];
    return item
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "" || item === "");
  });
}

/** `{ host, monitoringPort }`; other members, such as a name and the port for clients, are of no interest here. */
function ofServer(item: unknown): unknown {
  if (!isTree(item)) return item;
  const { host } = item;
  const ports = new Set(PORT_NAMES.map((name) => item[name]).filter((port) => port !== undefined));
  const [port = DEFAULT_PORT] = ports;
  if (typeof host !== "string" || ports.size > 1) return item;
  const bracketed = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  if (!HOST.test(bracketed) || !Number.isInteger(port) || Number(port) < 1 || Number(port) > 65_535)
    return item;
  return `http://${bracketed}:${Number(port)}`;
}
