/** The packed tarball on the running Node and on Bun. `npm run runtimes` tries all supported runtimes. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProject, type Project } from "../../scripts/runtimes/project.ts";
import { obtainRuntime, type Runtime, type RuntimeName } from "../../scripts/runtimes/runtimes.ts";
import { SCENES, smokeTest } from "../../scripts/runtimes/smoke.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";

/** A runtime that takes longer to install is skipped, so that a slow registry does not hold up the tests. */
const INSTALL_MS = 60_000;

let project: Project;
let server: NatsServer;

beforeAll(async () => {
  server = await startNatsServer({ jetstream: true });
  project = await createProject();
}, 180_000);

afterAll(async () => {
  await project[Symbol.asyncDispose]();
  await server.dispose();
});

const running = `node${process.versions.node.split(".")[0]}` as RuntimeName;

for (const name of [running, "bun"] as const) {
  const runtime: Runtime | Error = await obtainRuntime(name, INSTALL_MS).catch((error: Error) => error);
  const reason = runtime instanceof Error ? ` (skipped: ${runtime.message})` : "";
  test.skipIf(reason !== "")(
    `a node leads, is replaced and hands over on ${name}${reason}`,
    { timeout: 90_000 },
    async () => {
      if (runtime instanceof Error) return;
      const results = await smokeTest(runtime, project, server.url);
      expect(results.filter(({ ok }) => !ok)).toEqual([]);
      expect(results.map(({ scene }) => scene)).toEqual(SCENES);
    },
  );
}
