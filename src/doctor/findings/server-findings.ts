/** What is wrong with each server by itself. */
import { isAtLeast, OLDEST_SERVER } from "../../nats/api/server-version.ts";
import { type Facts, percentOf, type ServerFacts, type StreamFacts, type Usage } from "../facts.ts";
import type { Finding, Sign } from "./finding.ts";
import { LAG, MEMORY_PERCENT, SLOW_CONSUMERS, STORAGE_PERCENT } from "./thresholds.ts";

export function serverFindings(facts: Facts): Sign[] {
  return facts.servers.flatMap((server) => [
    ...lifeFindings(server),
    ...usageFindings(server.name, "JetStream", server),
    ...slowFindings(server),
    ...lagFindings(server),
  ]);
}

function lifeFindings({ name, url, error, health, version }: ServerFacts): Sign[] {
  if (error !== null) {
    const todo =
      url === null
        ? "is the server stopped, frozen, or cut off from the others? Look at its log"
        : "is the server running, and may its monitoring port be reached from here?";
    return [{ severity: "critical", code: "server-down", where: name, what: error, todo, lost: name }];
  }
  const found: Finding[] = [];
  if (health?.ok === false) {
    found.push({
      severity: "critical",
      code: "server-unhealthy",
      where: name,
      what: `it says of itself that it is not healthy: ${health.error}`,
      todo: "a server that has just started needs a while to catch up; else look at its log and its disk",
    });
  }
  if (version !== null && !isAtLeast(version, OLDEST_SERVER)) {
    found.push({
      severity: "critical",
      code: "server-version",
      where: name,
      what: `it is version ${version}; nodes need ${OLDEST_SERVER} or later`,
      todo: "upgrade the servers, one after the other",
    });
  }
  return found;
}

/** `whose`: JetStream of a server, or an account. */
export function usageFindings(
  where: string,
  whose: string,
  { memory, storage }: { readonly memory: Usage | null; readonly storage: Usage | null },
): Finding[] {
  const found: Finding[] = [];
  const judge = (code: "memory" | "storage", usage: Usage | null, limit: number, todo: string): void => {
    const percent = percentOf(usage);
    if (percent === null || percent <= limit) return;
    const what = `${whose} ${code} is used to ${percent.toFixed(1)} % (more than ${limit} %)`;
    found.push({ severity: "warning", code, where, what, todo });
  };
  const room = "remove streams or messages nobody needs, or raise the limit";
  judge("memory", memory, MEMORY_PERCENT, room);
  judge("storage", storage, STORAGE_PERCENT, `${room}: without room no renewal is written, and nobody leads`);
  return found;
}

function slowFindings({ name, slowConsumers }: ServerFacts): Finding[] {
  if (slowConsumers === null || slowConsumers <= SLOW_CONSUMERS) return [];
  return [
    {
      severity: "warning",
      code: "slow-consumers",
      where: name,
      what: `${slowConsumers} connections were cut since its start because they read too slowly (more than ${SLOW_CONSUMERS})`,
      todo: "its log names them; a node among them loses its presence, and its leadership with it, each time",
    },
  ];
}

/** One finding for all consumers of a server, by the worst: a batch job's backlog is not news. */
function lagFindings({ name, streams, meta }: ServerFacts): Finding[] {
  const found: Finding[] = [];
  const behind = (group: string, peers: StreamFacts["peers"]): void => {
    for (const peer of peers) {
      if (peer.offline || peer.lag <= LAG) continue;
      found.push({
        severity: "warning",
        code: "lag",
        where: peer.name,
        what: `its copy of ${group} is ${peer.lag} operations behind (more than ${LAG})`,
        todo: "is its disk or its network slow? It can't lead until it has caught up",
      });
    }
  };
  if (meta?.leader === name) behind("JetStream's meta group", meta.peers);
  for (const { account, stream, peers } of streams ?? [])
    behind(`stream ${stream} (account ${account})`, peers);
  const late = (streams ?? [])
    .flatMap(({ account, stream, consumers }) => consumers.map((one) => ({ ...one, account, stream })))
    .filter(({ pending }) => pending > LAG)
    .sort((a, b) => b.pending - a.pending);
  const [worst] = late;
  if (worst !== undefined) {
    const others = late.length === 1 ? "" : `; ${late.length - 1} more have over ${LAG}`;
    const which = `consumer ${worst.name} of stream ${worst.stream} (account ${worst.account})`;
    found.push({
      severity: "warning",
      code: "consumer-lag",
      where: name,
      what: `${which} has ${worst.pending} messages to go (more than ${LAG})${others}`,
      todo: "is whoever reads it running, and fast enough? The election does not depend on it",
    });
  }
  return found;
}
