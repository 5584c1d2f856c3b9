import { join } from "node:path";
import { defineConfig, type TestProjectConfiguration, type ViteUserConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Folders whose tests start servers and processes. */
const natsTests =
  "test/{channels,telemetry,nats,node,presence,testing,fencing,cli,vip,discovery,permissions,interop,http,ui}/**/*.test.ts";
/**
 * What takes minutes, and `npm test` leaves out: tools that start whole clusters of servers, benchmarks, whole example programs, and
 * whether servers still behave as the simulator assumes.
 */
const toolTests = "test/{deploy,bench,calibration,examples}/**/*.test.ts";
const packageTests = "test/package/**/*.test.ts";

/** The files that take longest, longest first. Started last, they would run alone at the end. */
const longest = [
  "deploy/migrate",
  "deploy/migrate-interrupted",
  "deploy/operations",
  "cli/run",
  "node/isolation",
  "bench/host",
  "vip/address-on-interface",
  "calibration/connz",
  "node/process",
  "cli/doctor",
  "presence/silent",
  "node/server",
  "examples/data-bridge",
  "examples/demo",
  "cli/failed-output",
  "cli/waiting",
  "node/bucket",
  "http/processes",
  "http/hostile",
  "bench/failover",
  "vip/failover",
  "node/network",
  "deploy/survival",
  "interop/mixed",
  "examples/cli",
  "fencing/example",
  "fencing/chaos",
  "model/model",
  "simulator/election.sim",
  "sim/group",
  "simulator/pinned",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = longest.findIndex((name) => moduleId.includes(`/test/${name}.test.`));
      return index < 0 ? longest.length : index;
    };
    const order = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    return (await super.sort(files)).sort((a, b) => order(a) - order(b) || rank(a) - rank(b));
  }
}

/** Examples import the package by its name. */
const resolve = {
  alias: [{ find: /^nats-leader\/(\w+)$/, replacement: join(import.meta.dirname, "src/$1.ts") }],
};

/** A project whose tests start servers and processes. */
function onServers(name: string, include: string, groupOrder: number): TestProjectConfiguration {
  return {
    resolve,
    test: {
      name,
      include: [include],
      globalSetup: ["test/support/global-setup.ts"],
      setupFiles: ["test/support/setup.ts"],
      pool: "forks",
      isolate: false,
      // Most of a test is waiting. Each file runs up to three servers; two cores are the least this runs on.
      maxWorkers: 5,
      testTimeout: 200_000,
      hookTimeout: 120_000,
      // As `PATIENCE_MS` in test/support/patience.ts; the default is 1 s.
      expect: { poll: { timeout: 15_000 } },
      sequence: { groupOrder },
    },
  };
}

const config: ViteUserConfig = defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        resolve,
        test: {
          name: "unit",
          include: ["{test,examples}/**/*.test.ts"],
          exclude: [natsTests, toolTests, packageTests],
          // The files of a worker share their modules: importing them again for each file takes longer than most of these tests.
          isolate: false,
          maxWorkers: 2,
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      onServers("nats", natsTests, 1),
      onServers("tools", toolTests, 2),
      {
        test: {
          name: "package",
          include: [packageTests],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
    ],
    // What is left: the `default` of switches that have every case.
    coverage: {
      provider: "v8",
      include: ["src/election/**", "src/group/core/**"],
      reporter: ["text", "html"],
      thresholds: {
        "src/election/**": { branches: 98, functions: 100, lines: 98, statements: 98 },
        "src/group/core/**": { branches: 97, functions: 100, lines: 98, statements: 98 },
      },
    },
  },
});

export default config;
