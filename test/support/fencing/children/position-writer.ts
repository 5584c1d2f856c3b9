/**
 * A member of a group that owns a resource and writes to the sink of `position-sink.ts`: batches of 3, and waits
 * in one of them until it is killed. Arguments: connection of PostgreSQL as JSON, NATS server, group, resource, number of the batch and point to wait at.
 */
import { Pool } from "pg";
import { PostgresFence } from "../../../../src/fencing.ts";
import { Group } from "../../../../src/group.ts";
import { listen, say } from "../../processes/child-io.ts";
import { apply, begin } from "../position-sink.ts";

const [connection = "{}", servers = "", groupId = "", resource = "", batch = "", stopAt = ""] =
  process.argv.slice(2);
const pool = new Pool(JSON.parse(connection) as object);
listen(() => {});

const group = new Group({ groupId, memberId: "child", servers, resources: [resource], logger: false });
await group.start();
await group.runOwned(async (term) => {
  const fence = new PostgresFence({ resource: term.clusterId, clusterId: term.clusterId });
  let prev = await begin(pool, fence, term);
  for (let count = 1; ; count++, prev += 3) {
    await apply(pool, fence, term, { prev, last: prev + 3 }, async (point) => {
      if (count !== Number(batch) || point !== stopAt) return;
      say({ reached: point, epoch: term.epoch, prev });
      await new Promise(() => {});
    });
    if (count === Number(batch)) {
      say({ reached: "commit", epoch: term.epoch, prev });
      await new Promise(() => {});
    }
  }
});
