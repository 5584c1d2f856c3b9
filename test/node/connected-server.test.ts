/** Logs, events and hooks name the server that a node, a member and a daemon are connected to, also after it was killed. */
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { Group, type GroupMemberEvent } from "../../src/group.ts";
import { type ConnectedServer, Node, type NodeEvent } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsCluster } from "../support/use-server.ts";

const cluster = useNatsCluster({ size: 3 });

interface Line {
  readonly msg?: string;
  readonly event?: string;
  readonly server?: string;
  readonly url?: string;
}

interface Watched {
  readonly now: () => ConnectedServer | null;
  readonly hooks: (ConnectedServer | null)[];
  readonly events: (ConnectedServer | null)[];
}

function watched(
  events: AsyncIterable<NodeEvent | GroupMemberEvent>,
  now: Watched["now"],
  hooks: Watched["hooks"],
): Watched {
  const seen: (ConnectedServer | null)[] = [];
  void (async () => {
    for await (const event of events)
      if (event.type === "started" || event.type === "nats-disconnect" || event.type === "nats-reconnect")
        seen.push(event.server);
  })();
  return { now, hooks, events: seen };
}

function hooksInto(seen: (ConnectedServer | null)[]) {
  return {
    onNatsDisconnect: (_error: Error | null, server: ConnectedServer | null) => void seen.push(server),
    onNatsReconnect: (server: ConnectedServer | null) => void seen.push(server),
  };
}

test("the server is named at the start, when it is lost, and when another one has taken its place", async () => {
  // The first server is the first that is tried, so that all three are on it.
  const [first] = cluster.servers;
  if (first === undefined) throw new Error("no server");
  const nodeCalls: (ConnectedServer | null)[] = [];
  const memberCalls: (ConnectedServer | null)[] = [];
  const common = { servers: first.url, logger: false } as const;
  const node = new Node({ ...common, clusterId: freshId(), nodeId: "a" }, hooksInto(nodeCalls));
  const member = new Group(
    { ...common, groupId: freshId(), memberId: "a", resources: 2 },
    hooksInto(memberCalls),
  );
  atEnd(() => node.stop());
  atEnd(() => member.stop());
  expect([node.server, member.server]).toEqual([null, null]);
  const all = [
    watched(node.events(), () => node.server, nodeCalls),
    watched(member.events(), () => member.server, memberCalls),
  ];
  const daemon = start<Line>(
    ["daemon", "--cluster-id", freshId(), "--node-id", "a", "--nats-url", first.url, "--json"],
    {},
  );
  const from: ConnectedServer = { name: first.name, url: first.url };
  await Promise.all([node.start(), member.start()]);
  const started = await daemon.next(({ event }) => event === "started");
  expect([started.server, started.url]).toEqual([from.name, from.url]);
  for (const { now } of all) expect(now()).toEqual(from);

  await first.kill();
  const lost = await daemon.next(({ event }) => event === "nats-disconnect");
  expect([lost.server, lost.url]).toEqual([from.name, from.url]);
  expect(lost.msg).toBe(`disconnected from NATS server ${from.name} at ${from.url}; reconnecting`);
  const back = await daemon.next(({ msg }) => msg === "NATS reconnected");
  const others = cluster.servers.filter((server) => server !== first);
  expect(others.map(({ name }) => name)).toContain(back.server);
  for (const { now, hooks, events } of all) {
    await waitFor(() => events.length >= 3 && hooks.length >= 2, {
      message: "the server that took its place",
    });
    expect(others.map(({ name, url }) => ({ name, url }))).toContainEqual(now());
    expect(events).toEqual([from, from, now()]);
    expect(hooks).toEqual([from, now()]);
  }
  daemon.kill("SIGUSR1");
  expect((await daemon.next(({ msg }) => msg === "Status")).server).toBe(back.server);
  daemon.kill("SIGTERM");
  expect((await daemon.exit).code).toBe(0);
});
