/** Deletes presences while their leaders are alive and connected. */
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Node } from "../../src/node/node.ts";
import { type Mode, Operator, summaryOf, until } from "./support.ts";

const ELECTIONS = 50;
/** A presence of this age is recreated at once; a younger one after a delay that doubles each time. */
const SETTLED_MS = 5_100;
const LEASE_TTL_MS = 10_000;

interface Election {
  readonly clusterId: string;
  readonly nodes: readonly Node[];
  /** True: the presence is deleted as soon as it exists. False: only at the age of SETTLED_MS. */
  readonly hurried: boolean;
}

/** Counts events of all terms. */
class Tally {
  becomes = 0;
  suspended = 0;
  losses = 0;
  writes = 0;

  async follow(node: Node): Promise<void> {
    for await (const event of node.events()) {
      if (event.type === "become-leader") this.becomes += 1;
      if (event.type === "suspended") this.suspended += 1;
      if (event.type === "lose-leadership") this.losses += 1;
    }
  }
}

export const runFalseSuspicion: Mode = async (options) => {
  const { server, rounds, nodes = 3, progress } = options;
  const operator = await Operator.at(server);
  const shared = await Promise.all(Array.from({ length: nodes - 1 }, () => share(server.url)));
  const tally = new Tally();
  const elections: Election[] = [];
  for (let index = 0; index < Math.min(ELECTIONS, rounds); index++) {
    const nodesOf = await elect(`fs${index}`, server.url, shared, tally);
    await operator.attempts(`fs${index}`, () => {
      tally.writes += 1;
    });
    elections.push({ clusterId: `fs${index}`, nodes: nodesOf, hurried: index % 2 === 1 });
  }
  progress(`${elections.length} elections of ${nodes} nodes`);
  const remadeMs: number[] = [];
  let begun = 0;
  const began = performance.now();
  const hammer = async ({ clusterId, hurried }: Election): Promise<void> => {
    let presence = await named(operator, clusterId);
    while (begun < rounds) {
      begun += 1;
      if (begun % 100 === 0) progress(`${begun}/${rounds} deletions, ${tally.losses} terms lost`);
      if (!hurried) await pause(SETTLED_MS);
      const deleted = performance.now();
      if (!(await operator.deletePresence(presence)))
        throw new Error(`presence ${presence} did not exist any more`);
      presence = await named(operator, clusterId, presence);
      if (!hurried) remadeMs.push(performance.now() - deleted);
    }
  };
  await Promise.all(elections.map(hammer));
  const seconds = (performance.now() - began) / 1000;
  const { losses, suspended, writes } = tally;
  const leaderChanges = tally.becomes - elections.length;
  const led = elections.filter(({ nodes: [leader] }) => leader?.isLeader() && leader.epoch === 1).length;
  const found = {
    leaderChanges,
    lost: losses,
    suspended,
    elections: elections.length,
    nodes,
    questions: operator.questions,
    writes,
    heartbeatsDue: Math.round((elections.length * seconds * 1000) / (LEASE_TTL_MS * 0.3)),
    /** From the deletion of a presence older than 5 s to the record that names the next one. */
    remadeMs: summaryOf(remadeMs),
    violations: [
      ...(leaderChanges > 0 ? [`${leaderChanges} leader changes`] : []),
      ...(losses > 0 ? [`${losses} terms lost`] : []),
      ...(suspended > 0 ? [`${suspended} suspensions`] : []),
      ...(led < elections.length ? [`${elections.length - led} leaders do not lead any more`] : []),
    ],
  };
  await Promise.all(elections.flatMap((election) => election.nodes.map((node) => node.stop())));
  await Promise.all([operator.connection, ...shared].map((connection) => connection.close()));
  return found;
};

/** A connection for many followers. */
function share(url: string): Promise<NatsConnection> {
  return connect({ servers: url, pingInterval: 1000, maxPingOut: 2, maxReconnectAttempts: -1 });
}

/** A leader with its own connection, and a follower on each of the shared connections. */
async function elect(
  clusterId: string,
  url: string,
  shared: readonly NatsConnection[],
  tally: Tally,
): Promise<Node[]> {
  const common = { clusterId, leaseTtlMs: LEASE_TTL_MS, logger: false } as const;
  const leader = new Node({ ...common, nodeId: "leader", servers: url });
  const followers = shared.map(
    (connection, index) => new Node({ ...common, nodeId: `f${index}`, connection }),
  );
  for (const node of [leader, ...followers]) void tally.follow(node);
  await leader.start();
  await leader.campaign();
  await Promise.all(followers.map((node) => node.start()));
  return [leader, ...followers];
}

/** Resolves with the presence in the record, as soon as it differs from `not`. */
function named(operator: Operator, clusterId: string, not?: string): Promise<string> {
  const probe = async (): Promise<string | undefined> => {
    const presence = await operator.presence(clusterId);
    return presence === not ? undefined : presence;
  };
  return until(probe, `the record of ${clusterId} to name a presence other than ${not}`, 30_000, 5);
}
