/** Findings about connections between servers: routes, gateways, JetStream's meta group, versions. */
import type { Facts, MetaGroup, ServerFacts } from "../facts.ts";
import type { Finding, Sign } from "./finding.ts";

export function clusterFindings(facts: Facts): Sign[] {
  return [
    ...routeFindings(facts),
    ...gatewayFindings(facts.servers),
    ...metaFindings(facts.servers),
    ...jetstreamFindings(facts.servers),
    ...versionFindings(facts.servers),
    ...nameFindings(facts.servers),
  ];
}

/** What is known of one NATS cluster. */
export interface KnownCluster {
  readonly name: string;
  /** Number of its servers. */
  readonly size: number;
  /** Known names of its servers; may be fewer than `size`. */
  readonly members: readonly string[];
}

/**
 * No server has a list of its cluster's servers. Known are those that answered, those to which a server has a route, and, with one
 * cluster, those that the meta group and the bucket name.
 */
export function knownClusters({ servers, expectedServers, bucket }: Facts): KnownCluster[] {
  const names = [...new Set(servers.flatMap(({ cluster }) => (cluster === null ? [] : [cluster])))];
  return names.map((name) => {
    const own = servers.filter(({ cluster }) => cluster === name);
    const members = new Set(own.flatMap((server) => [server.name, ...(server.routes ?? [])]));
    if (!isOnlyCluster(names, servers)) {
      return { name, size: expectedServers ?? members.size, members: [...members] };
    }
    // With one cluster, the meta group and the servers that do not answer belong to it.
    const meta = metaLeaderOf(servers)?.meta ?? null;
    for (const peer of [...(meta?.peers ?? []), ...(bucket?.peers ?? [])]) members.add(peer.name);
    if (bucket?.clustered === true && bucket.leader !== null) members.add(bucket.leader);
    const sizes = servers.map((server) => server.meta?.size ?? 0);
    const asked = servers.filter(({ cluster, error }) => cluster === name || error !== null).length;
    return { name, size: expectedServers ?? Math.max(members.size, asked, ...sizes), members: [...members] };
  });
}

function isOnlyCluster(names: readonly string[], servers: readonly ServerFacts[]): boolean {
  return names.length === 1 && servers.every(({ gateways }) => (gateways?.configured.length ?? 0) === 0);
}

function routeFindings(facts: Facts): Sign[] {
  const clusters = knownClusters(facts);
  const silent = facts.servers.filter(({ error }) => error !== null).map(({ name }) => name);
  return facts.servers.flatMap((server): Sign[] => {
    const cluster = clusters.find(({ name }) => name === server.cluster);
    if (cluster === undefined || server.routes === null) return [];
    const expected = cluster.size - 1;
    const have = server.routes.length;
    if (have >= expected) return [];
    const missing = cluster.members.filter((name) => name !== server.name && !server.routes?.includes(name));
    const to = missing.length === 0 ? "" : `; none to ${missing.sort().join(", ")}`;
    return [
      {
        severity: "critical",
        code: "routes-missing",
        where: server.name,
        what: `it has routes to ${have} of the ${expected} other servers of cluster ${cluster.name}${to}`,
        todo: "start stopped servers, and check that the cluster ports are reachable and the route credentials match",
        follows: absent(expected - have, missing, silent),
      },
    ];
  });
}

/** The missing servers. If fewer than `count` names are known, the silent servers are added if that gives the number. */
function absent(count: number, missing: readonly string[], silent: readonly string[]): readonly string[] {
  if (missing.length >= count) return missing;
  const others = silent.filter((name) => !missing.includes(name));
  return missing.length + others.length === count ? [...missing, ...others].sort() : [];
}

/** Every server needs its own connection to every other cluster. */
function gatewayFindings(servers: readonly ServerFacts[]): Finding[] {
  return servers.flatMap((server): Finding[] => {
    const { gateways } = server;
    if (gateways === null) return [];
    const missing = gateways.configured.filter((name) => !gateways.connected.includes(name));
    if (missing.length === 0) return [];
    return [
      {
        severity: "critical",
        code: "gateways-missing",
        where: server.name,
        what: `it has no gateway connection to cluster ${missing.sort().join(", ")}`,
        todo: "check that this cluster runs and that the gateway ports are reachable; until then nodes of the two clusters cannot communicate",
      },
    ];
  });
}

/** The server that reports itself as the leader of the meta group. */
function metaLeaderOf(servers: readonly ServerFacts[]): ServerFacts | undefined {
  return servers.find(({ name, meta }) => meta?.leader === name);
}

function metaFindings(servers: readonly ServerFacts[]): Sign[] {
  const members = servers.flatMap(({ name, meta }) => (meta === null ? [] : [{ name, meta }]));
  if (members.length === 0) return [];
  const leaderless = members.filter(({ meta }) => meta.leader === null).map(({ name }) => name);
  const leaders = [...new Set(members.flatMap(({ meta }) => meta.leader ?? []))].sort();
  const found: Sign[] = [];
  if (leaderless.length > 0) {
    found.push({
      severity: "critical",
      code: "meta-leaderless",
      where: leaderless.sort().join(", "),
      what: "JetStream's meta group has no leader: no bucket, stream or consumer can be created",
      todo: "more than half of the servers with JetStream must run and reach each other; a raft election takes a few seconds",
      aftermath: true,
    });
  }
  if (leaders.length > 1) {
    found.push({
      severity: "critical",
      code: "meta-disagreement",
      where: leaders.join(", "),
      what: `the servers report different leaders of JetStream's meta group: ${leaders.join(", ")}`,
      todo: "examine it again in a few seconds; if it persists, the network between the servers is partitioned",
      aftermath: true,
    });
  }
  const lead = metaLeaderOf(servers);
  return [...found, ...(lead?.meta == null ? [] : peerFindings(lead.meta))];
}

function peerFindings({ peers }: MetaGroup): Sign[] {
  return peers.flatMap((peer): Sign[] => {
    if (!peer.offline) return [];
    return [
      {
        severity: "critical",
        code: "meta-peer-offline",
        where: peer.name,
        what: "JetStream's meta leader has no contact with it",
        todo: `start it; if it is gone permanently: nats server cluster peer-remove ${peer.name} (until then it counts for every majority)`,
        lost: peer.name,
      },
    ];
  });
}

function jetstreamFindings(servers: readonly ServerFacts[]): Finding[] {
  const known = servers.filter(({ jetstream }) => jetstream !== null);
  if (known.length === 0 || known.some(({ jetstream }) => jetstream === true)) return [];
  return [
    {
      severity: "critical",
      code: "jetstream-off",
      where: known.map(({ name }) => name).join(", "),
      what: "JetStream is disabled on every server that was found: the lease cannot be stored",
      todo: "add `jetstream { store_dir: ... }` to the configuration of the servers",
    },
  ];
}

function versionFindings(servers: readonly ServerFacts[]): Finding[] {
  const versions = [...new Set(servers.flatMap(({ version }) => version ?? []))].sort();
  if (versions.length < 2) return [];
  const of = (version: string): string =>
    servers.flatMap((server) => (server.version === version ? server.name : [])).join(", ");
  return [
    {
      severity: "note",
      code: "mixed-versions",
      where: "servers",
      what: `they run different versions: ${versions.map((one) => `${one} (${of(one)})`).join("; ")}`,
      todo: "finish the upgrade",
    },
  ];
}

/** JetStream knows servers by their names only. */
function nameFindings(servers: readonly ServerFacts[]): Finding[] {
  const names = servers.map(({ name }) => name);
  const shared = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [...shared].map((name) => {
    const urls = servers.flatMap((server) =>
      server.name === name ? (server.url ?? "the system account") : [],
    );
    return {
      severity: "warning",
      code: "server-name-shared",
      where: name,
      what: `different servers have this name: ${urls.join(", ")}`,
      todo: "give each server of a NATS system its own `server_name`; examine servers of different systems separately",
    };
  });
}
