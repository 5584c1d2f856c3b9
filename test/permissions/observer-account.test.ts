/** `examples/permissions/observer-account.conf` on a real server: what an observer in an account of its own can and cannot do. */
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { within } from "../../scripts/shared/wait.ts";
import { leaseSubject } from "../../src/nats/names.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import {
  CLUSTER,
  connectAs,
  login,
  openWitness,
  STREAM,
  startSecured,
} from "../support/nats/permission-roles.ts";
import { makeNode } from "../support/node/test-node.ts";

const LEASE = leaseSubject(CLUSTER);

test.each([PINNED_NATS_VERSION, OLDEST_NATS_VERSION])(
  "on nats-server %s, it sees who leads, and responses to it stay in its account",
  async (version) => {
    const server = await startSecured(version, "observer-account.conf");
    atEnd(() => server.dispose());
    const { servers, ...node } = login(server, "node");
    const leader = await makeNode({ servers }, { clusterId: CLUSTER, nodeId: "a", ...node }).start();
    await leader.leads();
    const { user, pass } = login(server, "observer");
    const options = { clusterId: CLUSTER, nodeId: "w", user, pass, observer: true, service: false };
    const observer = await makeNode({ servers }, { ...options, domain: "billing" }).start();
    await observer.sees(leader);

    const witness = await openWitness(server);
    atEnd(() => witness.close());
    const misdirected: string[] = [];
    for (const subject of [LEASE, "elsewhere"]) {
      witness.subscribe(subject, {
        callback: (_error, { data }) => {
          const text = new TextDecoder().decode(data);
          if (/io\.nats\.jetstream/.test(text)) misdirected.push(`${subject}: ${text.slice(0, 80)}`);
        },
      });
    }
    await witness.flush();
    const reader = await connect({ servers: server.url, user, pass });
    atEnd(() => reader.close());
    const arrived = new Promise<void>((resolve) => {
      reader.subscribe(LEASE, { callback: () => resolve() });
    });
    const request = `$JS.billing.API.STREAM.INFO.${STREAM}`;
    for (const reply of ["elsewhere", LEASE]) reader.publish(request, "", { reply });
    await within(arrived); // in its own account
    reader.publish(LEASE, "garbage");
    await reader.flush();
    await witness.flush();
    expect(misdirected).toEqual([]);
    expect([leader.count("lose-leadership"), leader.node.epoch]).toEqual([0, 1]);
    expect(leader.warnings("GARBAGE_RECORD")).toEqual([]);

    // In the account of the nodes, the same request does reach the subject: what the table says of every role.
    const own = await connectAs(server, "node");
    const reached = new Promise<void>((resolve) => {
      witness.subscribe("elsewhere.control", { callback: () => resolve() });
    });
    await witness.flush();
    own.connection.publish(`$JS.API.STREAM.INFO.${STREAM}`, "", { reply: "elsewhere.control" });
    await within(reached);
  },
);
