/** A process with a session that has presence, for tests that kill it. Arguments: url, stream. */
import { connectNats } from "../../../../src/nats/connection/connection.ts";
import { openSession } from "../../../../src/nats/presence/session.ts";
import { listen, say } from "../../processes/child-io.ts";

const [url = "", stream = ""] = process.argv.slice(2);
const { connection } = await connectNats({ servers: [url] }, { clusterId: "test", nodeId: "child" });
const session = openSession(connection);
await session.usePresence(stream);
say({ binding: session.binding });
listen(() => {});
