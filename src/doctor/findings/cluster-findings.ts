/** What is wrong between the servers: routes, gateways, JetStream's meta group, versions. */
import type { Facts, MetaGroup, ServerFacts } from "../facts.ts";
import type { Finding, Sign } from "./finding.ts";

export function clusterFindings(facts: Facts): Sign[] {
  return [
    ...routeFindings(facts),
    ...gatewayFindings(facts.servers),
    ...metaFindings(facts.servers),
    ...jetstreamFindings(facts.servers),
    ...versionFindings(facts.servers),
  ];
}

/** One NATS cluster, as far as it is known. */
export interface KnownCluster {
  readonly name: string;
  /** How many servers belong to it. */
  readonly size: number;
  /** Names of servers that are known to; may be fewer. */
  readonly members: readonly string[];
}

/** Nobody keeps a list of a cluster's servers: what is known of it is what anybody has seen or has a route to. */
export function knownClusters({ servers, expectedServers }: Facts): KnownCluster[] {
  const names = [...new Set(servers.flatMap(({ cluster }) => (cluster === null ? [] : [cluster])))];
  return names.map((name) => {
    const own = servers.filter(({ cluster }) => cluster === name);
    const members = new Set(own.flatMap((server) => [server.name, ...(server.routes ?? [])]));
    if (!isAlone(names, servers)) {
      return { name, size: expectedServers ?? members.size, members: [...members] };
    }
    // The only one: the meta group is its servers, those that are gone included, and so is whoever does not answer.
    const meta = metaLeaderOf(servers)?.meta ?? null;
    for (const peer of meta?.peers ?? []) members.add(peer.name);
    const sizes = servers.map((server) => server.meta?.size ?? 0);
    const asked = servers.filter(({ cluster, error }) => cluster === name || error !== null).length;
    return { name, size: expectedServers ?? Math.max(members.size, asked, ...sizes), members: [...members] };
  });
}

function isAlone(names: readonly string[], servers: readonly ServerFacts[]): boolean {
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
        todo: "start what is stopped, and see whether the cluster ports reach each other and the route credentials fit",
        follows: absent(expected - have, missing, silent),
      },
    ];
  });
}

/** Who is missing, `count` of them. Those without a name may be who does not answer, if that makes the number. */
function absent(count: number, missing: readonly string[], silent: readonly string[]): readonly string[] {
  if (missing.length >= count) return missing;
  const others = silent.filter((name) => !missing.includes(name));
  return missing.length + others.length === count ? [...missing, ...others] : [];
}

/** Every server needs a connection of its own to every other cluster. */
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
        todo: "is that cluster up, and do the gateway ports reach each other? Nodes here don't hear from nodes there",
      },
    ];
  });
}

/** The server that leads the meta group, by its own word. */
function metaLeaderOf(servers: readonly ServerFacts[]): ServerFacts | undefined {
  return servers.find(({ name, meta }) => meta?.leader === name);
}

function metaFindings(servers: readonly ServerFacts[]): Sign[] {
  const members = servers.flatMap(({ name, meta }) => (meta === null ? [] : [{ name, meta }]));
  if (members.length === 0) return [];
  const blind = members.filter(({ meta }) => meta.leader === null).map(({ name }) => name);
  const leaders = [...new Set(members.flatMap(({ meta }) => meta.leader ?? []))].sort();
  const found: Finding[] = [];
  if (blind.length > 0) {
    found.push({
      severity: "critical",
      code: "meta-leaderless",
      where: blind.sort().join(", "),
      what: "it knows no leader of JetStream's meta group: no bucket, stream or consumer can be made",
      todo: "more than half of the servers with JetStream must run and reach each other; an election takes some seconds",
    });
  }
  if (leaders.length > 1) {
    found.push({
      severity: "critical",
      code: "meta-disagreement",
      where: leaders.join(", "),
      what: `the servers don't agree on who leads JetStream's meta group: ${leaders.join(", ")}`,
      todo: "look again in some seconds; if it stays, the servers are split into parts",
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
        what: "JetStream's meta leader has no word from it",
        todo: "start it; if it is gone for good, `nats server cluster peer-remove` it, or it counts for every majority",
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
      what: "JetStream is off on every server that was seen: there is nowhere to keep the lease",
      todo: "put `jetstream { store_dir: ... }` into the servers' configuration",
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
      todo: "finish the upgrade that is under way",
    },
  ];
}
