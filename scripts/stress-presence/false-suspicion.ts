/** Presences are deleted by hand while their leaders live. */
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Node } from "../../src/node.ts";
import { type Mode, Operator, summaryOf, until } from "./support.ts";

const ELECTIONS = 50;
/** A presence that lived this long is made anew at once, any other after a pause that doubles. */
const SETTLED_MS = 5_100;
const LEASE_TTL_MS = 10_000;

interface Election {
  readonly clusterId: string;
  readonly nodes: readonly Node[];
  /** Deleted as soon as it is there, or only when it has lived for a while. */
  readonly hurried: boolean;
}

/** What happened to the terms. */
class Tally {
  becomes = 0;
  suspended = 0;
  losses = 0;
  writes = 0;

  async follow(node: Node): Promise<void> {
    for await (const event of node.events()) {
      if (event.type === "become") this.becomes += 1;
      if (event.type === "suspended") this.suspended += 1;
      if (event.type === "lose") this.losses += 1;
    }
  }
}

export const runFalseSuspicion: Mode = async (options) => {
  const { server, rounds, nodes = 3, progress } = options;
  const operator = await Operator.at(server);
  const share = (): Promise<NatsConnection> =>
    connect({ servers: server.url, pingInterval: 1000, maxPingOut: 2, maxReconnectAttempts: -1 });
  const shared = await Promise.all(Array.from({ length: nodes - 1 }, share));
  const tally = new Tally();
  const elections: Election[] = [];
  for (let index = 0; index < Math.min(ELECTIONS, rounds); index++) {
    const clusterId = `fs${index}`;
    const common = { clusterId, leaseTtlMs: LEASE_TTL_MS, logger: false } as const;
    const leader = new Node({ ...common, nodeId: "leader", servers: server.url });
    const followers = shared.map((connection, f) => new Node({ ...common, nodeId: `f${f}`, connection }));
    for (const node of [leader, ...followers]) void tally.follow(node);
    await leader.start();
    await leader.campaign();
    await Promise.all(followers.map((node) => node.start()));
    await operator.attempts(clusterId, () => {
      tally.writes += 1;
    });
    elections.push({ clusterId, nodes: [leader, ...followers], hurried: index % 2 === 1 });
  }
  progress(`${elections.length} elections of ${nodes} nodes`);
  const remadeMs: number[] = [];
  let begun = 0;
  const began = performance.now();
  const hammer = async ({ clusterId, hurried }: Election): Promise<void> => {
    let presence: string | undefined;
    while (begun < rounds) {
      begun += 1;
      const before: string | undefined = presence;
      presence = await until(
        async () => {
          const named = await operator.presence(clusterId);
          return named === before ? undefined : named;
        },
        `${clusterId} to name a new presence`,
        30_000,
        5,
      );
      if (!hurried) await pause(SETTLED_MS);
      const deleted = performance.now();
      if (!(await operator.deletePresence(presence))) throw new Error(`${presence} was gone already`);
      const gone = presence;
      await until(
        async () => {
          const named = await operator.presence(clusterId);
          return named === undefined || named === gone ? undefined : named;
        },
        `${clusterId} to name a new presence`,
        30_000,
        5,
      );
      if (!hurried) remadeMs.push(performance.now() - deleted);
      if (begun % 100 === 0) progress(`${begun}/${rounds} deletions, ${tally.losses} terms lost`);
    }
  };
  await Promise.all(elections.map(hammer));
  const [questions, writes] = [operator.questions, tally.writes];
  const seconds = (performance.now() - began) / 1000;
  const led = elections.filter(({ nodes: [leader] }) => leader?.isLeader() && leader.epoch === 1).length;
  const leaderChanges = tally.becomes - elections.length;
  const { losses, suspended } = tally;
  await Promise.all(elections.flatMap((election) => election.nodes.map((node) => node.stop())));
  await Promise.all([operator.connection, ...shared].map((connection) => connection.close()));
  const violations = [
    ...(leaderChanges > 0 ? [`${leaderChanges} leader changes`] : []),
    ...(losses > 0 ? [`${losses} terms lost`] : []),
    ...(suspended > 0 ? [`${suspended} suspensions`] : []),
    ...(led < elections.length ? [`${elections.length - led} leaders do not lead any more`] : []),
  ];
  return {
    leaderChanges,
    lost: losses,
    suspended,
    elections: elections.length,
    nodes,
    questions,
    writes,
    heartbeatsDue: Math.round((elections.length * seconds * 1000) / (LEASE_TTL_MS * 0.3)),
    /** From the deletion to the record that names another presence, where that had lived for 5 s. */
    remadeMs: summaryOf(remadeMs),
    violations,
  };
};
