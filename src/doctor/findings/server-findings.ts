/** Findings about single servers. */
import { isAtLeast, OLDEST_SERVER } from "../../nats/api/server-version.ts";
import { type ExaminedStream, type Facts, percentOf, type ServerFacts, type Usage } from "../facts.ts";
import type { Finding, Sign } from "./finding.ts";
import {
  AUTHENTICATION_FAILURES,
  LAG,
  MEMORY_PERCENT,
  PENDING_BYTES,
  SLOW_CONSUMERS,
  STORAGE_PERCENT,
} from "./thresholds.ts";

export function serverFindings(facts: Facts): Sign[] {
  return facts.servers.flatMap((server) => [
    ...healthFindings(server),
    ...usageFindings(server.name, "JetStream", server),
    ...slowFindings(server),
    ...connectionFindings(server),
    ...lagFindings(server),
  ]);
}

function healthFindings({ name, url, error, health, version }: ServerFacts): Sign[] {
  if (error !== null) {
    const todo =
      url === null
        ? "check whether the server is stopped, frozen or cut off from the others; its log may have the reason"
        : "check that the server runs and that its monitoring port is reachable from here";
    return [{ severity: "critical", code: "server-down", where: name, what: error, todo, lost: name }];
  }
  const found: Sign[] = [];
  if (health?.ok === false) {
    found.push({
      // Without a meta leader, every server says so.
      ...(/\bmeta leader\b/i.test(health.error) ? { aftermath: true } : {}),
      severity: "critical",
      code: "server-unhealthy",
      where: name,
      what: `it reports that it is not healthy: ${health.error}`,
      todo: "a server that has just started needs time to catch up; otherwise check its log and its disk",
    });
  }
  if (version !== null && !isAtLeast(version, OLDEST_SERVER)) {
    found.push({
      severity: "critical",
      code: "server-version",
      where: name,
      what: `it is version ${version}; nodes need ${OLDEST_SERVER} or later`,
      todo: "upgrade the servers one by one",
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
    const what = `${whose} ${code} usage is ${percent.toFixed(1)} % of its limit (more than ${limit} %)`;
    found.push({ severity: "warning", code, where, what, todo });
  };
  const room = "remove streams or messages that are no longer needed, or raise the limit";
  judge("memory", memory, MEMORY_PERCENT, room);
  judge(
    "storage",
    storage,
    STORAGE_PERCENT,
    `${room}: without storage no lease can be renewed, and no node can lead`,
  );
  return found;
}

function slowFindings({ name, slowConsumers }: ServerFacts): Finding[] {
  if (slowConsumers === null || slowConsumers <= SLOW_CONSUMERS) return [];
  return [
    {
      severity: "warning",
      code: "slow-consumers",
      where: name,
      what: `it has closed ${slowConsumers} connections since its start because they read too slowly (more than ${SLOW_CONSUMERS})`,
      todo: "its log names them; a node among them loses its presence and its leadership each time",
    },
  ];
}

function connectionFindings({ name, open, closed, routePending }: ServerFacts): Finding[] {
  const found: Finding[] = [];
  const slowest = open?.slowest ?? null;
  if (slowest !== null && slowest.pendingBytes > PENDING_BYTES)
    found.push({
      severity: "warning",
      code: "slow-client",
      where: name,
      what: `${slowest.pendingBytes} bytes wait for client ${slowest.id}${slowest.name === null ? "" : ` (${slowest.name})`} (more than ${PENDING_BYTES})`,
      todo: "its process is overloaded or stopped, or its network is slow; the server will disconnect it",
    });
  for (const { to, bytes } of routePending ?? [])
    if (bytes > PENDING_BYTES)
      found.push({
        severity: "warning",
        code: "route-pending",
        where: name,
        what: `${bytes} bytes wait for its route to ${to} (more than ${PENDING_BYTES})`,
        todo: "check the network between the two servers, and the load of the other one: replicas there fall behind",
      });
  if (closed !== null && closed.authentication > AUTHENTICATION_FAILURES)
    found.push({
      severity: "warning",
      code: "authentication-failures",
      where: name,
      what: `it has refused ${closed.authentication} logins within a minute (more than ${AUTHENTICATION_FAILURES})`,
      todo: "a client has old or wrong credentials and tries again, or passwords are being guessed: connz?state=closed&auth=true of its monitoring port has the addresses",
    });
  return found;
}

/** All consumers of a server give one finding, which names the one with the largest backlog. */
function lagFindings({ name, streams, meta }: ServerFacts): Sign[] {
  const found: Sign[] = [];
  const behind = (group: string, peers: ExaminedStream["peers"]): void => {
    for (const peer of peers) {
      if (peer.offline || peer.lag <= LAG) continue;
      found.push({
        severity: "warning",
        code: "lag",
        where: peer.name,
        what: `its replica of ${group} is ${peer.lag} operations behind (more than ${LAG})`,
        todo: "check its disk and its network; it cannot lead the group until it has caught up",
        concerns: peer.name,
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
      what: `${which} has ${worst.pending} pending messages (more than ${LAG})${others}`,
      todo: "check that its client runs and is fast enough; the election does not depend on it",
    });
  }
  return found;
}
