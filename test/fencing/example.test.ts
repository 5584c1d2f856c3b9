import { expect, test } from "vitest";
import { findPostgres } from "../../examples/singleton-writer/private-postgres.ts";
import { runToEnd } from "../support/processes/run-to-end.ts";

const withSql = findPostgres() !== null;
const stores = withSql ? "a stream and PostgreSQL" : "a stream (PostgreSQL SKIPPED, not installed)";

test(`the example shows that ${stores} refuse the late write of a leader frozen past its lease`, async () => {
  const { code, stdout: output, stderr } = await runToEnd("examples/singleton-writer/main.ts", []);
  expect(stderr).toBe("");
  expect(output).toMatch(
    /a {3}entry \d+ of epoch 1 {2}JetStream, fenced {4}STALE_EPOCH: .*epoch 1 .*epoch 2/,
  );
  if (withSql) expect(output).toMatch(/PostgreSQL, fenced {3}STALE_EPOCH: .*epoch 1 .*epoch 2/);
  expect(output).toMatch(/JetStream, unfenced {2}written/);
  expect(output).toContain("1 entry of a deposed leader");
  expect(output).toContain("OK: every fenced ledger refused the late write");
  expect(code).toBe(0);
});
