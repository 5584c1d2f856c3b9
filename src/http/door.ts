/**
 * The routes of the door: from what of a request decides to an answer. It changes nothing: only GET and HEAD are answered. Neither Fetch
 * nor `node:http` is in it, because a `Request` and a `Response` take most of the time of a short answer.
 */
import { PACKAGE_VERSION } from "../config/options.ts";
import { CHALLENGE, isHostAllowed, Token } from "./access.ts";
import { type Answer, jsonAnswer, textAnswer } from "./answer.ts";
import { leadershipAnswer, leadershipQuery } from "./leadership.ts";
import { checkHandlerOptions, type HandlerOptions, type MetricsText, type Mount } from "./options.ts";
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

  /** Throws, or rejects, what the source of metrics throws. */
  reply(asked: Asked): Reply {
    const route = this.#routes.get(asked.path);
    if (route !== undefined)
      return this.#refusal(asked, route.open, READ_ONLY) ?? route.answer(asked, () => this.#isTrusted(asked));
    for (const [path, mount] of this.#mounts) {
      if (asked.path.startsWith(path)) {
        const refusal = this.#refusal(asked, "no", [...READ_ONLY, ...(mount.methods ?? [])]);
        return refusal ?? { mount };
      }
      // Relative links of a page need the slash.
      if (`${asked.path}/` === path) return movedTo(path + asked.search);
    }
    return this.#notFound();
  }

  failure(error: unknown): Answer {
    this.#options.onError?.(error);
    // Not in the answer: what was thrown may name anything.
    return jsonAnswer(500, { error: "the answer could not be made" });
  }

  #refusal(asked: Asked, open: Route["open"], methods: readonly string[]): Answer | null {
    const { method, host } = asked;
    if (!methods.includes(method)) {
      const allow = methods.join(", ");
      return jsonAnswer(405, { error: `only ${allow} are answered here` }, { allow });
    }
    if (!READ_ONLY.includes(method) && !isSameSite(asked.header("origin"), host))
      return jsonAnswer(403, { error: "a page of another site sent this request" });
    if (open === "no" && this.#hosts !== null && !isHostAllowed(host.replace(PORT, ""), this.#hosts)) {
      const error = "this host name is not allowed here: use an address, or add the name to hosts";
      return jsonAnswer(421, { error });
    }
    if (open === "always" || this.#isTrusted(asked)) return null;
    const error = "the token is missing or wrong: send it as Authorization: Bearer TOKEN";
    return jsonAnswer(401, { error }, { "www-authenticate": CHALLENGE });
  }

  #isTrusted(asked: Asked): boolean {
    return this.#token === null || this.#token.isIn(asked.header("authorization"));
  }

  #notFound(): Answer {
    const routes = [...this.#routes.keys(), ...this.#mounts.map(([mount]) => mount)];
    return jsonAnswer(404, { error: "there is no such route", routes });
  }
}

/** Browsers name the page's origin in every request that may change something; other clients need not. */
function isSameSite(origin: string | null, host: string): boolean {
  return origin === null || origin.toLowerCase().replace(/^https?:\/\//, "") === host;
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
      answer: ({ search }) => leadershipAnswer(options, leadershipQuery(search)),
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
