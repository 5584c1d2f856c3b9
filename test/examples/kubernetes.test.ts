/** The manifests of examples/kubernetes: valid for the API, and true of what a node answers. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { findHaproxy } from "../../scripts/shared/haproxy.ts";
import { loadConfig } from "../../src/config/file/load.ts";
import { resolveOptions } from "../../src/config/resolve.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { get, openDoor } from "../support/http/door.ts";
import { settled, startNode } from "../support/node/test-node.ts";
import { findKubernetesValidate } from "../support/processes/kubernetes-validate.ts";
import { ROOT } from "../support/processes/node-command.ts";
import { useNatsServer } from "../support/use-server.ts";

const FOLDER = join(ROOT, "examples/kubernetes");
const FILES = ["leader.yaml", "balancer.yaml"].map((name) => join(FOLDER, name));
/** The oldest one has `preStop.sleep` as an alpha feature. */
const VERSIONS = ["1.30.0", "1.37.0"];

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
}

interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly serviceName?: string;
    readonly selector: Readonly<Record<string, string>> & {
      readonly matchLabels?: Readonly<Record<string, string>>;
    };
    readonly ports?: readonly { readonly targetPort: string }[];
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly Container[];
      };
    };
  };
}

const resources = FILES.flatMap((file) =>
  parseAllDocuments(readFileSync(file, "utf8")).map((one) => one.toJS() as Resource),
);

function resource(kind: string, name: string): Resource {
  const found = resources.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

function containerOf({ spec }: Resource): Container {
  const [container] = spec.template.spec.containers;
  if (container === undefined) throw new Error("no container");
  return container;
}

const server = useNatsServer();
const validator = await findKubernetesValidate();
const why = "missing" in validator ? ` (skipped: ${validator.missing})` : "";

test.skipIf("missing" in validator)(`they match the schemas of the API, strictly${why}`, async () => {
  if ("missing" in validator) return;
  for (const version of VERSIONS) expect(await validator.invalid(version, FILES), version).toBeNull();
  // The validator sees a wrong type, and a field that does not exist.
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-kubernetes-"));
  atEnd(() => rmSync(folder, { recursive: true }));
  const text = readFileSync(FILES[0] ?? "", "utf8");
  for (const [from, to] of [
    ["replicas: 3", 'replicas: "3"'],
    ["readinessProbe:", "readynessProbe:"],
  ] as const) {
    const file = join(folder, "wrong.yaml");
    writeFileSync(file, text.replace(from, to));
    expect(await validator.invalid("1.37.0", [file])).toMatch(/replicas|readynessProbe/);
  }
});

test("every probe is right for leader and follower: both are live and ready, and only /leader answers differently", async () => {
  const clusterId = freshId();
  const nodes = [
    await startNode(server, { clusterId, nodeId: "leader-0" }),
    await startNode(server, { clusterId, nodeId: "leader-1" }),
  ];
  const [leader, follower] = await settled(nodes, 0);
  const doors = await Promise.all(
    [leader, follower].map(async (one) => openDoor({ nodes: one === undefined ? [] : [one.node] })),
  );
  const answers = (path: string): Promise<number[]> =>
    Promise.all(doors.map(async ({ port }) => (await get(`http://127.0.0.1:${port}${path}`)).status));
  const { startupProbe, livenessProbe, readinessProbe } = containerOf(resource("StatefulSet", "leader"));
  for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
    expect(probe?.httpGet.port).toBe("http");
    expect(await answers(probe?.httpGet.path ?? "")).toEqual([200, 200]);
  }
  expect(livenessProbe.httpGet.path).toBe("/livez");
  expect(readinessProbe.httpGet.path).toBe("/readyz");
  const checked = /httpchk GET (\S+)/.exec(
    resource("ConfigMap", "leader-balancer").data?.["haproxy.cfg"] ?? "",
  );
  expect(await answers(checked?.[1] ?? "")).toEqual([200, 503]);
});

test("the environment of the container is a valid configuration, and the grace period is long enough", () => {
  const set = resource("StatefulSet", "leader");
  const { env, ports, lifecycle } = containerOf(set);
  const variables = Object.fromEntries(env.map(({ name, value }) => [name, value ?? "leader-0"]));
  const { nodeOptions, http } = loadConfig({ path: null, optional: true, env: variables });
  const { clusterId, nodeId, drainTimeoutMs, nats } = resolveOptions(nodeOptions);
  expect([clusterId, nodeId]).toEqual(["billing", "leader-0"]);
  expect(nats.servers).toHaveLength(3);
  expect(http?.listen).toBe(`0.0.0.0:${ports[0]?.containerPort}`);
  const neededMs = lifecycle.preStop.sleep.seconds * 1_000 + drainTimeoutMs;
  expect(set.spec.template.spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(2 * neededMs - 10_000);
});

test("services and budgets select the pods that they are for", () => {
  const labelsOf = (kind: string, name: string) => resource(kind, name).spec.template.metadata.labels;
  const nodes = labelsOf("StatefulSet", "leader");
  const balancers = labelsOf("Deployment", "leader-balancer");
  expect(resource("Service", "leader-nodes").spec.selector).toEqual(nodes);
  expect(resource("Service", "leader").spec.selector).toEqual(balancers);
  expect(resource("PodDisruptionBudget", "leader").spec.selector.matchLabels).toEqual(nodes);
  expect(resource("PodDisruptionBudget", "leader-balancer").spec.selector.matchLabels).toEqual(balancers);
  expect(resource("StatefulSet", "leader").spec.serviceName).toBe("leader-nodes");
  for (const name of ["leader-nodes", "leader"])
    expect(resource("Service", name).spec.ports?.map(({ targetPort }) => targetPort)).toEqual(["http"]);
});

const haproxy = findHaproxy();
const without = haproxy === null ? " (skipped: haproxy is not installed: apt-get install haproxy)" : "";
test.skipIf(haproxy === null)(`HAProxy accepts the configuration of the balancer${without}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-kubernetes-"));
  atEnd(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "haproxy.cfg");
  const text = resource("ConfigMap", "leader-balancer").data?.["haproxy.cfg"] ?? "";
  writeFileSync(file, text);
  expect(spawnSync(haproxy ?? "", ["-c", "-f", file]).status).toBe(0);
  expect(text).toContain("_http._tcp.leader-nodes.");
});

test("the servers of the chart's values are those that the nodes connect to", () => {
  const { config } = parse(readFileSync(join(FOLDER, "nats-values.yaml"), "utf8")) as {
    config: { cluster: { replicas: number }; jetstream: { enabled: boolean } };
  };
  expect(config.jetstream.enabled).toBe(true);
  const { env } = containerOf(resource("StatefulSet", "leader"));
  const servers = env.find(({ name }) => name === "NATS_LEADER_SERVERS")?.value?.split(",");
  expect(servers).toEqual(
    Array.from({ length: config.cluster.replicas }, (_, index) => `nats://nats-${index}.nats-headless:4222`),
  );
});
