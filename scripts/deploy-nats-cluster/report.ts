/** Texts for the user: where to connect, and the state of the servers. */
import type { Running, Status } from "./deployment.ts";
import { clientUrl, hasGateways, monitorUrl, type PlannedServer } from "./plan.ts";
import { USERS } from "./secrets.ts";
import type { StateDir } from "./state.ts";

/** The URLs as text, one line per cluster. */
export function urlLines(state: StateDir, { deployment, servers }: Running): string[] {
  const clusters = [...new Set(servers.map(({ cluster }) => cluster))];
  const lines = clusters.map((cluster) => {
    const label = hasGateways(deployment) ? `clients ${cluster}` : "clients";
    return `${label.padEnd(12)} ${urlsOf(deployment, servers, cluster).join(",")}`;
  });
  lines.push(`monitoring   ${servers.map(monitorUrl).join(" ")}`);
  if (deployment.secure) {
    lines.push(`authority    ${state.tlsDir}/ca.pem`);
    if (deployment.jwt) lines.push(`credentials  ${state.credentials.path}/users/USER.creds`);
    else lines.push(`passwords    ${state.usersFile} (users ${USERS.join(", ")})`);
  }
  lines.push(`state, data  ${state.path}`);
  return lines;
}

/** The same as JSON. */
export function urlsForPrograms(state: StateDir, { deployment, servers }: Running): object {
  return {
    urls: servers.map((server) => clientUrl(deployment, server)),
    monitorUrls: servers.map(monitorUrl),
    ...(deployment.secure ? { ca: `${state.tlsDir}/ca.pem` } : {}),
    ...(deployment.secure && !deployment.jwt ? { users: state.usersFile } : {}),
    ...(deployment.jwt ? { credentials: `${state.credentials.path}/users` } : {}),
    state: state.path,
  };
}

function urlsOf(plan: Running["deployment"], servers: readonly PlannedServer[], cluster: string): string[] {
  return servers.filter((server) => server.cluster === cluster).map((server) => clientUrl(plan, server));
}

export function statusLines(status: Status): string[] {
  const rows = status.servers.map((server) => [
    server.name,
    server.running ? server.where : "NOT RUNNING",
    server.version ?? "-",
    server.health,
    String(server.routes),
    String(server.gateways),
    String(server.connections ?? "-"),
    server.metaLeader === server.name ? "leads" : "",
  ]);
  const table = [["server", "where", "version", "health", "routes", "gateways", "clients", "meta"], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...lines, status.ok ? "ok: nothing is missing" : `NOT OK: ${status.missing}`];
}

/** What the user has to do after a migration. */
export function afterMigration(state: StateDir, from: string | undefined): string[] {
  if (from === undefined)
    return [
      "",
      `the single server has been stopped; its data remain in ${state.storeDir("single")}: delete them when they are no longer needed`,
      "clients find the cluster at the old URL; configure them with all URLs below",
    ];
  return [
    "",
    `${from} is unchanged and still runs: stop it before you start nodes. A node that connects to it would lead there, in addition to the leader of the cluster`,
  ];
}
