import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startNatsServer } from "../../src/testing.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";

type Line = { readonly text?: string };

const source = new URL("../../examples/quick-start.ts", import.meta.url);
const library = new URL("../../src/index.ts", import.meta.url).href;

test("the quick start leads, works, hands over on SIGTERM and exits 0", async () => {
  await using server = await startNatsServer();
  await using script = await quickStart();
  const env = { NATS_URL: server.url, LOG_LEVEL: "silent" };
  await using a = spawnChild<Line>(script.file, { env });
  await says(a, "leading, epoch 1");
  await says(a, "working with epoch 1");
  await using b = spawnChild<Line>(script.file, { env });
  await b.next((line) => /^leader: [A-Za-z0-9_-]+-[0-9a-z]{6}$/.test(line.text ?? ""));
  a.kill("SIGTERM");
  await says(a, "no longer leading: stopped");
  await says(b, "leading, epoch 2");
  await says(b, "working with epoch 2");
  expect(await a.exit).toEqual({ code: 0, signal: null });
  b.kill("SIGTERM");
  expect(await b.exit).toEqual({ code: 0, signal: null });
  expect([a.stderr, b.stderr]).toEqual(["", ""]);
});

/** A copy that imports the sources: "nats-leader" would resolve to dist, which may be outdated or missing. */
async function quickStart(): Promise<AsyncDisposable & { readonly file: string }> {
  const text = await readFile(source, "utf8");
  expect(text).toContain('from "nats-leader"');
  const folder = await mkdtemp(join(tmpdir(), "nats-leader-quick-start-"));
  const file = join(folder, "quick-start.mts");
  await writeFile(file, text.replace('"nats-leader"', JSON.stringify(library)));
  return { file, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

async function says(child: Child<Line>, text: string): Promise<void> {
  await child.next((line) => line.text === text);
}
