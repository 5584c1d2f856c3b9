import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { refuseRunningNodes } from "../../scripts/deploy-nats-cluster/migrate/elections.ts";
import { serviceName } from "../../src/nats/names.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("the search for running nodes ends although answers trickle in without an end, and ignores what is no JSON", async () => {
  const nats = await connect({ servers: server.url });
  atEnd(() => nats.close());
  const clusterId = freshId();
  nats.subscribe(`$SRV.PING.${serviceName(clusterId)}`, {
    callback: (_error, question) => {
      question.respond("no JSON");
      const timer = setInterval(
        () => question.respond(JSON.stringify({ id: "x", metadata: { node: "a" } })),
        50,
      );
      atEnd(() => clearInterval(timer));
    },
  });
  await expect(refuseRunningNodes(nats, [{ clusterId, held: null }])).rejects.toThrow(
    `nodes run at the source, of cluster ${clusterId}: a. Stop them first`,
  );
});

test("without an answer no node runs", async () => {
  const nats = await connect({ servers: server.url });
  atEnd(() => nats.close());
  const clusterId = freshId();
  await refuseRunningNodes(nats, [{ clusterId, held: null }]);
  nats.subscribe(`$SRV.PING.${serviceName(clusterId)}`, { callback: () => {} });
  await refuseRunningNodes(nats, [{ clusterId, held: null }]);
});
