/**
 * Environment variables that are not ours: those that other NATS tools and services share, and those that a platform sets by itself.
 * No operator has decided on the latter, so they are two layers.
 */
import { show } from "../check.ts";
import { idOfName } from "../node-id.ts";
import type { Environment, Layer } from "./layers.ts";
import { convert, SETTINGS } from "./settings.ts";
import { meaningOfServers, splitList } from "./spellings.ts";
import { put, type Tree } from "./tree.ts";

/** Kubernetes and Docker's links set `NATS_PORT` so for a service or a container with the name nats. */
const LINK = /^tcp:\/\/(.+):(\d{1,5})$/;
const HAS_PORT = /:\d+$/;
const MAX_PORT = 65_535;

/** Variables that an operator has set for NATS tools, or for the service. An empty one counts as not set. */
export function sharedLayer(env: Environment): Layer {
  const found = new Found();
  for (const { path, kind, shared } of SETTINGS) {
    const [name] = shared ?? [];
    if (name === undefined || path === "nats.servers") continue;
    const text = env[name] ?? "";
    if (text === "") continue;
    if (path === "nodeId") found.nodeId(name, text);
    else found.give(path, name, convert(kind, text));
  }
  found.servers(env);
  return found.layer("the environment");
}

/** @param names - Whether the name of the host may be the node id. */
export function platformLayer(env: Environment, names: { readonly nodeId: boolean }): Layer {
  const found = new Found();
  const host = env["HOSTNAME"]?.trim() ?? "";
  if (names.nodeId && host !== "") found.nodeId("HOSTNAME", host);
  const [, linkHost, linkPort] = LINK.exec(env["NATS_PORT"]?.trim() ?? "") ?? [];
  if (linkHost !== undefined) found.give("nats.servers", "NATS_PORT", [`${linkHost}:${linkPort}`]);
  return found.layer("the platform");
}

class Found {
  readonly #values: Tree = {};
  readonly #sources = new Map<string, string>();
  readonly #conflicts = new Map<string, string>();
  readonly #notes = new Map<string, string>();

  give(path: string, from: string, value: unknown): void {
    put(this.#values, path, value);
    this.#sources.set(path, from);
  }

  nodeId(from: string, text: string): void {
    const id = idOfName(text);
    this.give("nodeId", from, id);
    if (id !== text)
      this.#notes.set("nodeId", `nodeId ${show(id)} is made of ${from} ${show(text)}, which is not an id`);
  }

  servers(env: Environment): void {
    const urls = splitList(env["NATS_URL"] ?? "");
    const hosts = this.#hosts(env);
    if (urls.length > 0) this.give("nats.servers", "NATS_URL", urls);
    else if (hosts !== null) this.give("nats.servers", hosts.from, hosts.servers);
    if (urls.length === 0 || hosts === null || this.#conflicts.has("nats.servers")) return;
    if (meaningOfServers(urls) === meaningOfServers(hosts.servers)) return;
    this.#conflicts.set(
      "nats.servers",
      `NATS_URL ${show(urls)} and ${hosts.from} ${show(hosts.servers)} name different servers; unset one of them, or set NATS_LEADER_SERVERS`,
    );
  }

  /** `NATS_HOST` may name its port itself, and several hosts. `NATS_PORT` alone is a port of this host. */
  #hosts(env: Environment): { readonly servers: readonly string[]; readonly from: string } | null {
    const hosts = splitList(env["NATS_HOST"] ?? "");
    const text = env["NATS_PORT"]?.trim() ?? "";
    const link = LINK.exec(text);
    if (text !== "" && link === null && !isPort(text)) {
      // Refused here, where its name is known: in a URL it could be part of a login, and would be hidden.
      this.#conflicts.set("nats.servers", `NATS_PORT ${show(text)} must be a port from 1 to ${MAX_PORT}`);
      return { servers: hosts.length === 0 ? ["localhost"] : hosts, from: "NATS_PORT" };
    }
    if (hosts.length === 0) {
      return text === "" || link !== null ? null : { servers: [`localhost:${text}`], from: "NATS_PORT" };
    }
    const port = link?.[2] ?? text;
    const own = hosts.find((host) => HAS_PORT.test(host) && !host.endsWith(`:${port}`));
    if (own !== undefined && port !== "" && link === null) {
      this.#conflicts.set(
        "nats.servers",
        `NATS_HOST ${show(own)} and NATS_PORT ${show(port)} name different ports; keep one of them`,
      );
    }
    const servers = hosts.map((host) => (HAS_PORT.test(host) || port === "" ? host : `${host}:${port}`));
    const usesPort = port !== "" && hosts.some((host) => !HAS_PORT.test(host));
    return { servers, from: usesPort ? "NATS_HOST and NATS_PORT" : "NATS_HOST" };
  }

  layer(name: string): Layer {
    return {
      name,
      values: this.#values,
      sources: this.#sources,
      conflicts: this.#conflicts,
      notes: this.#notes,
    };
  }
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= MAX_PORT;
}
