/** A node that is stopped while it dials leaves nothing behind that keeps its process alive. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { deferred } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const INFO = `INFO {"server_id":"S","version":"2.15.1","proto":1,"max_payload":1048576,"headers":true}\r\n`;

test.each([
  ["says nothing", "", false],
  ["does not answer CONNECT", INFO, true],
])("the server accepts the connection and %s", async (_, greeting, answers) => {
  const dialled = deferred<Socket>();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write(greeting);
    if (answers) socket.once("data", () => dialled.resolve(socket));
    else dialled.resolve(socket);
  }).listen(0, "127.0.0.1");
  atEnd(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const child = spawnChild("test/support/node/children/dialling.ts", { args: [`nats://127.0.0.1:${port}`] });
  atEnd(() => child[Symbol.asyncDispose]());
  const socket = await dialled.promise;
  child.send({});
  await child.next(({ stopped }) => stopped === true);
  expect(await child.exit).toEqual({ code: 0, signal: null });
  socket.destroy();
});
