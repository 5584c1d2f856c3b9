/** What the sources say about servers of which they have read little, and how to read more. */
import type { ServerFacts, Unseen } from "./facts.ts";

/** Servers that only other servers mention, or that returned few documents. */
export function unseenServers(servers: readonly ServerFacts[]): Unseen[] {
  const incomplete = servers.filter(
    ({ error, health, slowConsumers }) => error === null && health === null && slowConsumers === null,
  );
  const mentioned = new Set(
    servers.flatMap(({ routes, meta }) => [
      ...(routes ?? []),
      ...(meta?.peers ?? []).map(({ name }) => name),
    ]),
  );
  // A server that is known to be offline is a finding.
  const gone = servers.flatMap(({ meta }) => (meta?.peers ?? []).filter(({ offline }) => offline));
  for (const { name } of [...servers, ...gone]) mentioned.delete(name);
  const names = [...new Set([...incomplete.map(({ name }) => name), ...mentioned])].sort();
  if (names.length === 0) return [];
  const silent = servers.flatMap(({ name, url, error }) => (error !== null && name === url ? [url] : []));
  // Of a port that does not answer, the name of its server is not known.
  const how =
    names.length <= silent.length
      ? `get an answer from ${silent.join(", ")}`
      : "pass --monitor http://HOST:8222 for each server";
  return [
    {
      what: `health, uptime, routes, gateways, slow consumers, JetStream limits and meta group of ${names.join(", ")}`,
      how: `${how}, or pass --system-creds FILE (or --system-user) of the system account`,
    },
  ];
}
