/** A process that sends beats, for tests that kill or freeze it. Arguments: url, milliseconds between beats, user, password. */
import { connectNats } from "../../../../src/nats/connection/connection.ts";
import { openSession } from "../../../../src/nats/presence/session.ts";
import { listen, say } from "../../processes/child-io.ts";

const [url = "", everyMs = "", user, pass] = process.argv.slice(2);
const login = user === undefined || pass === undefined ? {} : { user, pass };
const { connection } = await connectNats(
  { servers: [url], ...login },
  { clusterId: "test", nodeId: "child" },
);
const session = openSession(connection);
await session.useBeats(1_000);
session.listen(({ type }) => {
  if (type === "beat-proven") say({ proven: true });
});
session.beat(Number(everyMs));
say({ binding: session.binding });
listen(() => {});
