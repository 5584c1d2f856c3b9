/**
 * Which test runs which block of the documents. A block that no test runs has a comment in the line above its fence instead:
 * `<!-- not run: REASON -->`.
 */
export interface Claim {
  readonly file: string;
  /** The beginning of the block. */
  readonly starts: string;
  /** The test that runs it. */
  readonly by: string;
  /** A text in that test that shows it. */
  readonly proof: string;
}

const HERE = "test/docs/blocks.test.ts";
const SHELL = "test/examples/documents.test.ts";
const BRIDGE = "test/examples/data-bridge.test.ts";
const HTTP = "test/http/docs.test.ts";
const FENCING = "test/fencing/docs.test.ts";

const fencing = [
  "import { FencedStream",
  "try {",
  "for await (const outcome",
  "await writer.batch",
  "const kv =",
  "const standard",
  "const pool",
  "await fence.transaction",
  "await pool.query",
  "const token",
  "const group",
  "const own",
  "await own.transaction",
  "const worker",
  "const answer",
  "await fence.admit",
];
const deployments = ["up\n", "up --single", "up --secure"];

export const CLAIMS: readonly Claim[] = [
  claim("README.md", "npm ci && npm pack", "test/package/package.test.ts", '"pack"'),
  claim("README.md", "import { setTimeout", "test/examples/quick-start.test.ts", "examples/quick-start.ts"),
  claim(
    "README.md",
    'import { Node } from "nats-leader";\nimport { SimulatedCluster }',
    HERE,
    "simulatedJob(",
  ),
  claim("README.md", "npm start", "test/examples/demo.test.ts", "examples/demo.ts"),
  claim("docs/cli.md", "nats-leader init", SHELL, '"nats-leader init"'),
  claim("docs/cli.md", "{", HERE, '"config", "check"'),
  claim("docs/cli.md", "$ nats-leader status", "test/cli/commands.test.ts", "VIP Held:"),
  claim("docs/cli.md", "$ nats-leader nodes", "test/cli/commands.test.ts", '"nodes"'),
  claim("docs/cli.md", "$ nats-leader watch", "test/cli/watch.test.ts", "leads, epoch"),
  claim("docs/cli.md", "$ nats-leader history", "test/cli/commands.test.ts", '"history"'),
  claim("docs/cli.md", "$ nats-leader doctor", "test/cli/doctor.test.ts", '"doctor"'),
  claim("docs/cli.md", "nats-leader run", SHELL, '"nats-leader run"'),
  claim("docs/cli.md", "source <(", SHELL, '"source <("'),
  ...fencing.map((starts) => claim("docs/fencing.md", starts, FENCING, "every TypeScript block")),
  claim("docs/http.md", "import { Node }", HTTP, "blocks are in snippets.ts"),
  claim("docs/http.md", "import { createHandler", HTTP, "blocks are in snippets.ts"),
  claim("docs/http.md", "{", HTTP, "the configuration is valid"),
  claim("docs/http.md", "defaults", HTTP, "HAProxy accepts its configuration"),
  claim(
    "docs/groups.md",
    'import { Group } from "nats-leader/group";\nimport { SimulatedCluster }',
    HERE,
    "blocks are in snippets.ts",
  ),
  claim("docs/operations.md", "nats-leader doctor", SHELL, '"nats-leader doctor"'),
  claim("docs/operations.md", "nats-server --signal", SHELL, '"nats-server --signal"'),
  claim("docs/operations.md", "# no node runs", SHELL, '"# no node runs"'),
  claim(
    "docs/security.md",
    "nats-leader permissions administrator --cluster-id",
    SHELL,
    "administrator --cluster-id",
  ),
  claim("docs/security.md", "nats-leader permissions administrator --group", SHELL, "administrator --group"),
  claim(
    "docs/telemetry.md",
    "import { createServer }",
    "test/telemetry/docs.test.ts",
    "prometheusMetrics(node)",
  ),
  claim("docs/telemetry.md", "import { Node }", "test/telemetry/docs.test.ts", "instrument(node)"),
  claim("docs/telemetry.md", "import { subscribe }", "test/channels/channels.test.ts", "docs/telemetry.md"),
  claim("docs/vip.md", "import { Node }", HERE, "blocks are in snippets.ts"),
  claim("docs/wire.md", '{"node_id"', HERE, "decodeEntry("),
  claim("docs/wire.md", '{"nodeId"', HERE, "decodeStatus("),
  claim("docs/wire.md", '{"kind":"session"', "test/nats/group-codec.test.ts", "docs/wire.md"),
  claim(
    "examples/basic/README.md",
    "nats-server -js",
    "test/examples/basic.test.ts",
    "examples/basic/main.ts",
  ),
  claim(
    "examples/data-bridge/README.md",
    "npm run bridge -- --instances",
    BRIDGE,
    "examples/data-bridge/main.ts",
  ),
  claim("examples/data-bridge/README.md", "npm run bridge -- --check", BRIDGE, '"--check"'),
  claim(
    "examples/data-bridge/README.md",
    "{",
    "examples/data-bridge/config.test.ts",
    "the file of README.md",
  ),
  claim(
    "examples/observability/README.md",
    "npm run observability",
    "test/examples/observability.test.ts",
    "examples/observability/main.ts",
  ),
  claim("examples/cli/README.md", "nats-server -js", "test/examples/cli.test.ts", "walk-through.sh"),
  ...deployments.map((verb) =>
    claim(
      "examples/nats-cluster/README.md",
      `npm run --silent deploy-nats-cluster -- ${verb}`,
      "test/deploy/plain.test.ts",
      'readmeCommands("nats-cluster")',
    ),
  ),
  claim(
    "examples/nats-cluster/README.md",
    "npm run --silent deploy-nats-cluster -- failover-test",
    "test/deploy/operations.test.ts",
    '"rollback --dry-run"',
  ),
  claim(
    "examples/nats-cluster/README.md",
    "npm run --silent deploy-nats-cluster -- up --jwt --secure",
    "test/deploy/jwt.test.ts",
    '"up --jwt --secure"',
  ),
  claim("examples/nats-cluster/README.md", "NATS_PASSWORD=", "test/deploy/migrate.test.ts", "migrate --from"),
  claim("examples/nats-cluster/README.md", "import { Node }", HERE, "blocks are in snippets.ts"),
  claim(
    "examples/nats-cluster/README.md",
    "npm run --silent deploy-nats-cluster -- up --backend compose",
    "test/deploy/compose-run.test.ts",
    "up --backend compose --secure",
  ),
  claim(
    "examples/nats-cluster/README.md",
    "docker compose",
    "test/deploy/compose.test.ts",
    '"--env-file", state.composeFile',
  ),
  claim("examples/permissions/README.md", "export ADMINISTRATOR", SHELL, '"export ADMINISTRATOR"'),
  claim("examples/permissions/README.md", "NATS_LEADER_USER", SHELL, '"NATS_LEADER_USER"'),
  claim(
    "examples/simulated-job/README.md",
    "npx vitest run",
    "examples/simulated-job/invoices.test.ts",
    "test(",
  ),
  claim(
    "examples/supercluster/README.md",
    "npm run --silent deploy-nats-cluster -- up --supercluster",
    "test/deploy/supercluster.test.ts",
    'readmeCommands("supercluster")',
  ),
  claim("examples/supercluster/README.md", "nats kv add", "test/deploy/supercluster.test.ts", '"nats kv add'),
  claim(
    "model/README.md",
    "npm run model",
    "test/model/model.test.ts",
    "each broken variant and probe is run",
  ),
  claim("model/README.md", "$ npm run model", "test/model/model.test.ts", "maps every step"),
];

function claim(file: string, starts: string, by: string, proof: string): Claim {
  return { file, starts, by, proof };
}
