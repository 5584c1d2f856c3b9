/**
 * The routes of the door: from what of a request decides to an answer. It changes nothing: only GET and HEAD are answered. Neither Fetch
 * nor `node:http` is in it, because a `Request` and a `Response` take most of the time of a short answer.
 */
import { PACKAGE_VERSION } from "../config/options.ts";
import type { MetricsText } from "../telemetry/metrics-text.ts";
import { CHALLENGE, isHostAllowed, Token } from "./access.ts";
import { type Answer, jsonAnswer, textAnswer } from "./answer.ts";
import { leadershipAnswer } from "./leadership.ts";
import { checkHandlerOptions, type HandlerOptions, type Mount } from "./options.ts";
import { Paced } from "./paced.ts";
import { readinessOf } from "./readiness.ts";
import { statusOf } from "./status.ts";

/** What of a request decides about its answer. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** From the question mark on; empty without one. */
  readonly search: string;
  /** `name:port` or `name`, in lower case. */
  readonly host: string;
  /** The value of a header; `null` without it. */
  header(name: "accept" | "authorization" | "origin"): string | null;
}

interface Route {
  /** Answered without the token (`always`), and under any name of the host (`always`, `any-host`). */
  readonly open: "always" | "any-host" | "no";
  answer(asked: Asked, isTrusted: () => boolean): Answer | Promise<Answer>;
}

/** An answer, or the mount that is to make it. */
export type Reply = Answer | Promise<Answer> | { readonly mount: Mount };

/** Why a request is refused, and with which status. */
interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const READ_ONLY: readonly string[] = ["GET", "HEAD"];
const OPENMETRICS = "application/openmetrics-text";
const PLAIN_TEXT = "text/plain";
const PORT = /:\d*$/;

export class Door {
  readonly #options: HandlerOptions;
  readonly #token: Token | null;
  readonly #hosts: ReadonlySet<string> | null;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #mounts: readonly (readonly [path: string, mount: Mount])[];

  /** @throws ClusterError `INVALID_CONFIG` */
  constructor(options: HandlerOptions) {
    checkHandlerOptions(options);
    const { basePath = "", token, hosts, mounts = {} } = options;
    this.#options = options;
    this.#token = token === undefined ? null : new Token(token);
    this.#hosts = hosts === undefined ? null : new Set(hosts.map((host) => host.toLowerCase()));
    this.#routes = new Map(
      Object.entries(routesOf(options)).map(([path, route]) => [basePath + path, route]),
    );
    this.#mounts = Object.entries(mounts).map(([path, mount]) => [basePath + path, mount]);
  }

  /**
   * Throws, or rejects, what the source of metrics throws.
   *
   * @param from - The address of the client, for mounts that log it.
   */
  reply(asked: Asked, from: string | null = null): Reply {
    const route = this.#routes.get(asked.path);
    if (route !== undefined) {
      const refusal = this.#refusal(asked, route.open, READ_ONLY);
      return refusal === null ? route.answer(asked, () => this.#isTrusted(asked)) : refusalAnswer(refusal);
    }
    for (const [path, mount] of this.#mounts) {
      if (asked.path.startsWith(path)) {
        const refusal = this.#refusal(asked, "no", [...READ_ONLY, ...(mount.methods ?? [])]);
        if (refusal === null) return { mount };
        if (mayChange(asked)) mount.refused?.(refusal.error, from);
        return refusalAnswer(refusal);
      }
      // Relative links of a page need the slash. The location is relative, too: a framework may have removed a part of the path.
      if (`${asked.path}/` === path) return movedTo(lastSegmentOf(path) + asked.search);
    }
    return this.#notFound();
  }

  failure(error: unknown): Answer {
    this.#options.onError?.(error);
    // Not in the answer: what was thrown may name anything.
    return jsonAnswer(500, { error: "the answer could not be made" });
  }

  #refusal(asked: Asked, open: Route["open"], methods: readonly string[]): Refusal | null {
    const { method, host } = asked;
    if (!methods.includes(method)) {
      const allow = methods.join(", ");
      return { status: 405, error: `only ${allow} are answered here`, headers: { allow } };
    }
    const changes = mayChange(asked);
    if (changes && !isSameSite(asked.header("origin"), host))
      return { status: 403, error: "a page of another site sent this request" };
    const name = host.replace(PORT, "");
    if (open === "no" && this.#hosts !== null && !isHostAllowed(name, this.#hosts, changes)) {
      const others = changes ? "use an address or localhost" : "use an address";
      const error = `this host name is not allowed here: ${others}, or add the name to hosts`;
      return { status: 421, error };
    }
    if (open === "always" || this.#isTrusted(asked)) return null;
    const error = "the token is missing or wrong: send it as Authorization: Bearer TOKEN";
    return { status: 401, error, headers: { "www-authenticate": CHALLENGE } };
  }

  #isTrusted(asked: Asked): boolean {
    return this.#token === null || this.#token.isIn(asked.header("authorization"));
  }

  #notFound(): Answer {
    const routes = [...this.#routes.keys(), ...this.#mounts.map(([mount]) => mount)];
    return jsonAnswer(404, { error: "there is no such route", routes });
  }
}

function mayChange({ method }: Asked): boolean {
  return !READ_ONLY.includes(method);
}

function refusalAnswer({ status, error, headers }: Refusal): Answer {
  return jsonAnswer(status, { error }, headers);
}

/** Browsers name the page's origin in every request that may change something; other clients need not. */
function isSameSite(origin: string | null, host: string): boolean {
  return origin === null || origin.toLowerCase().replace(/^https?:\/\//, "") === host;
}

/** `ui/` of `/ops/ui/`. */
function lastSegmentOf(path: string): string {
  return path.slice(path.lastIndexOf("/", path.length - 2) + 1);
}

function movedTo(location: string): Answer {
  return textAnswer(308, "text/plain; charset=utf-8", "", { location });
}

function routesOf(options: HandlerOptions): Record<string, Route> {
  const status = new Paced<Answer>();
  return {
    // That this code runs is the answer.
    "/livez": { open: "always", answer: () => jsonAnswer(200, { live: true }) },
    "/readyz": { open: "always", answer: (_asked, isTrusted) => readinessAnswer(options, isTrusted()) },
    "/leader": {
      open: "any-host",
      answer: ({ search }) => leadershipAnswer(options, search),
    },
    "/status": {
      open: "no",
      answer: () => status.get(() => jsonAnswer(200, { version: PACKAGE_VERSION, ...statusOf(options) })),
    },
    ...metricsRoute(options),
  };
}

function readinessAnswer(options: HandlerOptions, isTrusted: boolean): Answer {
  const { ready, reasons } = readinessOf(options);
  return jsonAnswer(ready ? 200 : 503, isTrusted ? { ready, reasons } : { ready });
}

function metricsRoute({ metrics }: HandlerOptions): Record<string, Route> {
  if (metrics === undefined) return {};
  const [plain, open] = [new Paced<MetricsText>(), new Paced<MetricsText>()];
  return {
    "/metrics": {
      open: "no",
      answer: async (asked) => {
        // One result for each format, however the clients write their wishes.
        const isOpen = asked.header("accept")?.includes(OPENMETRICS) === true;
        const { contentType, body } = isOpen
          ? await open.get(() => metrics(OPENMETRICS))
          : await plain.get(() => metrics(PLAIN_TEXT));
        return textAnswer(200, contentType, body);
      },
    },
  };
}
