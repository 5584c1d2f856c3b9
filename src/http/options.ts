/** What a door is made of, checked. */
import { HOSTS_RULE, isHostName, isToken, TOKEN_RULE } from "../config/listen.ts";
import { ClusterError } from "../errors.ts";
import { kindOf } from "../runtime/waiting.ts";
import type { MetricsText } from "../telemetry/metrics-text.ts";
import type { NodeHolder, ServedMember, ServedNode } from "./views.ts";

/** @param accept - `application/openmetrics-text` if the client accepts that, else `text/plain`. */
export type MetricsSource = (accept: string) => MetricsText | Promise<MetricsText>;

/**
 * Answers all requests below a path. Its response may be a stream: it has to end when `request.signal` aborts. `from` is the address of the
 * client, where that is known.
 */
export interface Mount {
  handle(request: Request, from: string | null): Response | Promise<Response>;
  /**
   * Methods other than GET and HEAD that it accepts, such as POST. A request with one of them from a page of another site is refused.
   *
   * @default none
   */
  readonly methods?: readonly string[] | undefined;
  /**
   * Called when a request with a method other than GET and HEAD was refused before it reached the mount, for its log: with the reason, and
   * the address of the client as above. Must not throw.
   */
  readonly refused?: ((reason: string, from: string | null) => void) | undefined;
}

export interface HandlerOptions {
  /** The nodes of this process. Read at every request, so a `Set` may change. */
  readonly nodes?: Iterable<ServedNode> | undefined;
  /** The members of groups of this process. Read at every request. */
  readonly groups?: Iterable<ServedMember> | undefined;
  /** A `Manager`: its node while its daemon runs. */
  readonly manager?: NodeHolder | undefined;
  /**
   * The path before all routes: `/ops` for `/ops/leader`. Must be the path as the handler sees it: where a framework strips the path of its
   * own mount (Express, `app.use("/ops", ...)`), leave it out.
   *
   * @default ""
   */
  readonly basePath?: string | undefined;
  /**
   * Required of all requests but `/livez` and `/readyz`, as `Authorization: Bearer TOKEN`, or as the password of `Basic`. 16 to 1024
   * printable ASCII characters without blanks.
   *
   * @default none is required
   */
  readonly token?: string | undefined;
  /**
   * Names by which browsers may reach `/status`, `/metrics` and mounts, besides addresses, `localhost` and names without a dot. Without a
   * token this keeps pages of other sites from reading them. For methods other than GET and HEAD, names without a dot have to be in it, too.
   *
   * @default every name
   */
  readonly hosts?: readonly string[] | undefined;
  /**
   * What `/metrics` answers.
   *
   * @default there is no such route
   */
  readonly metrics?: MetricsSource | undefined;
  /** Called with what the source of metrics, or a mount, has thrown. The client gets status 500 without it. Must not throw. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** More routes, by their paths below the base path: `{ "/ui/": page }` answers `/ui/` and everything below it. */
  readonly mounts?: Readonly<Record<string, Mount>> | undefined;
}

/** A path in the canonical form that `URL` has: no dot segments, nothing to be encoded, no query. */
const BASE_PATH = /^(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/;
const MOUNT_PATH = /^(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/$/;
const METHOD = /^[A-Z]{1,20}$/;

/** @throws ClusterError `INVALID_CONFIG`, with every problem. Never quotes the token. */
export function checkHandlerOptions(options: HandlerOptions): void {
  const { basePath = "", token, hosts = [], metrics, onError, mounts = {} } = options;
  const problems: string[] = [];
  if (typeof basePath !== "string" || !BASE_PATH.test(basePath))
    problems.push(`basePath ${shown(basePath)} must begin with / and not end with it, such as "/ops"`);
  if (token !== undefined && (typeof token !== "string" || !isToken(token)))
    problems.push(`token (hidden) must be ${TOKEN_RULE}`);
  if (!Array.isArray(hosts) || hosts.some((host) => typeof host !== "string" || !isHostName(host)))
    problems.push(`hosts must be ${HOSTS_RULE}`);
  if (metrics !== undefined && typeof metrics !== "function")
    problems.push(`metrics must be a function, not ${kindOf(metrics)}`);
  if (onError !== undefined && typeof onError !== "function")
    problems.push(`onError must be a function, not ${kindOf(onError)}`);
  for (const [path, mount] of Object.entries(mounts)) {
    if (!MOUNT_PATH.test(path))
      problems.push(`mounts[${shown(path)}] must begin and end with /, such as "/ui/"`);
    if (typeof mount?.handle !== "function")
      problems.push(`mounts[${shown(path)}].handle must be a function`);
    if (mount?.refused !== undefined && typeof mount.refused !== "function")
      problems.push(`mounts[${shown(path)}].refused must be a function, not ${kindOf(mount.refused)}`);
    const { methods = [] } = mount ?? {};
    if (!Array.isArray(methods) || methods.some((method) => !METHOD.test(String(method))))
      problems.push(`mounts[${shown(path)}].methods must be a list of methods, such as ["POST"]`);
  }
  if (problems.length > 0) throw new ClusterError("INVALID_CONFIG", problems.join("; "));
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : kindOf(value);
}
