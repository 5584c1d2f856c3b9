/** Waits between guard and commit, so that a test can freeze it there. Arguments: connection as JSON, resource, table. */
import { Client } from "pg";
import { PostgresFence } from "../../../../src/fencing.ts";
import { listen, say } from "../../processes/child-io.ts";

const [connection = "{}", resource = "", ledger = ""] = process.argv.slice(2);
const client = new Client(JSON.parse(connection) as object);
client.on("error", () => {});
await client.connect();
const fence = new PostgresFence({ resource, idleTimeoutMs: 300 });

listen<{ readonly begin?: number; readonly commit?: boolean }>(async ({ begin, commit }) => {
  if (begin !== undefined) {
    await client.query("BEGIN");
    await fence.guard(client, { epoch: begin, nodeId: "a", incarnation: `inc-${begin}` });
    await client.query(`INSERT INTO ${ledger} (entry) VALUES ('frozen')`);
    say({ guarded: true });
  }
  if (commit === true) {
    const outcome = await client.query("COMMIT").then(
      ({ command }) => (command === "COMMIT" ? "committed" : command),
      (error: Error) => error.message,
    );
    say({ outcome });
  }
});
