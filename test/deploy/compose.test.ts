/** The Compose files of the examples define the same servers, ports and configuration as the plan of the process backend. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { composeYaml, findCompose } from "../../scripts/deploy-nats-cluster/compose-backend.ts";
import { makeSecrets } from "../../scripts/deploy-nats-cluster/deployment.ts";
import {
  configFile,
  DEFAULT_PORT_BASE,
  EXAMPLES,
  environmentOf,
  type Plan,
  planServers,
  type Topology,
} from "../../scripts/deploy-nats-cluster/plan.ts";
import { USERS, variableOf } from "../../scripts/deploy-nats-cluster/secrets.ts";
import { StateDir } from "../../scripts/deploy-nats-cluster/state.ts";
import { findNatsServer } from "../../src/testing.ts";
import { findComposeLoader } from "../support/processes/compose-loader.ts";

interface Service {
  readonly profiles?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly environment: Readonly<Record<string, string | number>>;
  readonly command: readonly string[];
  readonly healthcheck: { readonly test: readonly string[] };
  readonly ports: readonly (string | { host_ip: string; published: string; target: number })[];
  readonly volumes: readonly (string | { source: string; target: string })[];
}

const compose = await findCompose();
const how = compose === undefined ? "by its structure (no Compose here)" : `by "${compose.join(" ")} config"`;

let state: StateDir;
beforeAll(() => {
  state = new StateDir(mkdtempSync(join(tmpdir(), "nats-leader-compose-")));
});
afterAll(() => rmSync(state.path, { recursive: true, force: true }));

const cases = (["cluster", "supercluster", "two-regions"] as const).flatMap((topology: Topology) =>
  [false, true].map((secure): Plan & { kind: string } => ({
    topology,
    secure,
    portBase: secure ? 14_222 : DEFAULT_PORT_BASE,
    kind: secure ? "secured, at other ports" : "plain, at the default ports",
  })),
);
for (const size of [5, 7] as const)
  cases.push({ topology: "cluster", secure: true, portBase: 14_222, size, kind: `${size} servers, secured` });

describe.each(cases)(`$topology, $kind, checked ${how}`, (plan) => {
  let services: Record<string, Service>;
  beforeAll(async () => {
    await makeSecrets(state, plan, () => {});
    services = readServices(plan);
  });

  test("the servers are those of the plan, on loopback only, each with its own volume and health check", () => {
    expect(Object.keys(services).sort()).toEqual(
      planServers(plan)
        .map(({ name }) => name)
        .sort(),
    );
    for (const { name, clientPort, monitorPort } of planServers(plan)) {
      const service = serviceOf(services, name);
      expect(service.ports.map(portText)).toEqual([
        `127.0.0.1:${clientPort}:4222`,
        `127.0.0.1:${monitorPort}:8222`,
      ]);
      expect(service.volumes.map(volumeText)).toContainEqual(
        expect.stringMatching(new RegExp(`^${name}:/data`)),
      );
      expect(service.healthcheck.test.at(-1)).toMatch(/:8222\/healthz/);
    }
  });

  test("containers and processes get every variable of the configuration, and nats-server accepts it", async () => {
    const { path } = await findNatsServer();
    const file = configFile(plan);
    const wanted = variablesIn(file);
    for (const server of planServers(plan)) {
      const service = serviceOf(services, server.name);
      const inContainer = service.command.at(-1) ?? "";
      expect(inContainer.replace("/etc/nats/", EXAMPLES)).toBe(file);
      const place = { storeDir: join(state.path, "store"), tlsDir: state.tlsDir };
      const given = environmentOf(plan, server, place);
      const passwords = plan.secure ? USERS.map(variableOf) : [];
      expect([...Object.keys(given), ...passwords]).toEqual(expect.arrayContaining(wanted));
      expect(Object.keys(service.environment)).toEqual(expect.arrayContaining(wanted));
      // Paths inside the container are replaced by paths of this machine.
      const env = Object.fromEntries(
        Object.entries(service.environment).map(([name, value]) => [
          name,
          String(value)
            .replace("/etc/nats/tls", state.tlsDir)
            .replace(/^\/data$/, place.storeDir),
        ]),
      );
      expect(env).toMatchObject({ NATS_CLUSTER: server.cluster, NATS_SERVER_NAME: server.name });
      execFileSync(path, ["-t", "-c", file], { env, stdio: "pipe" });
    }
  });
});

describe(`an application beside the servers, checked ${how}`, () => {
  test("starts when the servers are healthy, connects to all of them, and is behind the load balancer", () => {
    const plan = { topology: "cluster", secure: false, portBase: DEFAULT_PORT_BASE } as const;
    const services = readServices(plan, [join(EXAMPLES, "nats-cluster/compose.app.yaml")]);
    const servers = planServers(plan).map(({ name }) => name);
    const { "load-balancer": balancer, ...others } = services;
    const leaders = Object.keys(others).filter((name) => !servers.includes(name));
    expect(leaders).toEqual(["leader-a", "leader-b"]);
    for (const name of leaders) {
      const { depends_on: needed = {}, environment } = serviceOf(services, name);
      expect(Object.keys(needed).sort()).toEqual(servers);
      for (const { condition } of Object.values(needed)) expect(condition).toBe("service_healthy");
      expect(environment["NATS_LEADER_SERVERS"]).toBe(servers.map((one) => `nats://${one}:4222`).join(","));
    }
    // The balancer's file names each of them with the port of its HTTP server.
    const file = readFileSync(join(EXAMPLES, "nats-cluster/haproxy.cfg"), "utf8");
    for (const name of leaders) {
      const [, port] = String(serviceOf(services, name).environment["NATS_LEADER_HTTP"]).split(":");
      expect(file).toContain(`-${name}:${port}}"`);
    }
    for (const name of servers) expect(file).toContain(`-${name}:4222}"`);
    expect(balancer?.volumes.map(volumeText)).toEqual([expect.stringMatching(/haproxy\.cfg:\/usr\/local/)]);
  });
});

const loader = await findComposeLoader();
const withoutLoader = "missing" in loader ? ` (skipped: ${loader.missing})` : "";

test.skipIf("missing" in loader)(
  `the loader of Docker Compose accepts every file${withoutLoader}`,
  async () => {
    if ("missing" in loader) return;
    const file = (name: string): string => join(EXAMPLES, name);
    const servers = (count: number): string[] => Array.from({ length: count }, (_, index) => `n${index + 1}`);
    const cluster = file("nats-cluster/compose.yaml");
    expect(await loader.load("", [cluster])).toEqual({ services: servers(3) });
    expect(await loader.load("five", [cluster])).toEqual({ services: servers(5) });
    expect(await loader.load("five,seven", [cluster])).toEqual({ services: servers(7) });
    expect(await loader.load("", [cluster, file("nats-cluster/compose.app.yaml")])).toEqual({
      services: ["leader-a", "leader-b", "load-balancer", ...servers(3)],
    });
    for (const name of ["compose.yaml", "compose.two-regions.yaml"])
      expect(await loader.load("", [file(`supercluster/${name}`)])).toHaveProperty("services");
    // It refuses what Compose refuses: a dependency on a service that is not there.
    expect(await loader.load("", [file("nats-cluster/compose.app.yaml")])).toMatch(
      /depends on undefined service "n[123]"/,
    );
  },
);

/** The services with all variables substituted. */
function readServices(plan: Plan, more: readonly string[] = []): Record<string, Service> {
  const file = composeYaml(plan);
  // The plain variant must work without an env file, too.
  const withEnv = plan.secure ? ["--env-file", state.composeFile] : [];
  if (compose !== undefined) {
    const [program = "", ...args] = compose;
    const text = execFileSync(
      program,
      [...args, ...[file, ...more].flatMap((one) => ["-f", one]), ...withEnv, "config"],
      { encoding: "utf8" },
    );
    return parse(text).services;
  }
  const lines = plan.secure ? readFileSync(state.composeFile, "utf8").split("\n") : [];
  const given = new Map(lines.map((line) => [line.replace(/=.*/, ""), line.replace(/^\w+=/, "")]));
  const all = Object.assign({}, ...[file, ...more].map((one) => servicesIn(one, given))) as Record<
    string,
    Service
  >;
  const active = given.get("COMPOSE_PROFILES")?.split(",") ?? [];
  return Object.fromEntries(
    Object.entries(all).filter(([, { profiles }]) => profiles?.every((one) => active.includes(one)) ?? true),
  );
}

function servicesIn(file: string, given: ReadonlyMap<string, string>): Record<string, Service> {
  const text = readFileSync(file, "utf8").replace(
    /\$\{(\w+):-([^}]*)\}/g,
    (_, name: string, fallback: string) => given.get(name) ?? fallback,
  );
  expect(text).not.toMatch(/\$/); // a variable without a default would be empty if it is not set
  return parse(text, { merge: true }).services;
}

/** Names of the variables in a configuration file and in all files that it includes. */
function variablesIn(file: string): string[] {
  const text = readFileSync(file, "utf8").replaceAll(/#.*$/gm, "");
  const included = [...text.matchAll(/include "([^"]+)"/g)].map(([, name = ""]) => join(dirname(file), name));
  // Inside quotes, "$" is part of a subject.
  const own = [...text.replaceAll(/"[^"]*"/g, "").matchAll(/\$(\w+)/g)].map(([, name = ""]) => name);
  return [...new Set([...own, ...included.flatMap(variablesIn)])];
}

function serviceOf(services: Record<string, Service>, name: string): Service {
  const service = services[name];
  if (service === undefined) throw new Error(`no service ${name}`);
  return service;
}

function portText(port: Service["ports"][number]): string {
  return typeof port === "string"
    ? port.replace(/\/tcp$/, "")
    : `${port.host_ip}:${port.published}:${port.target}`;
}

function volumeText(volume: Service["volumes"][number]): string {
  return typeof volume === "string" ? volume : `${volume.source}:${volume.target}`;
}
