/** Where to connect and how to authenticate: the only parser of server URLs. */
import { redactUrl } from "../log/redact.ts";
import type { NatsOptions } from "../nats/connection/connection.ts";
import type { OptionName } from "./accepted.ts";
import { quote, show } from "./check.ts";
import type { NodeOptions } from "./options.ts";
import type { IsValid } from "./timing.ts";

/** Options that a connection that was passed in excludes. */
const CONNECTING: readonly OptionName[] = [
  "servers",
  "user",
  "pass",
  "token",
  "nkeySeed",
  "jwt",
  "credsFile",
  "creds",
  "tls",
  "inboxPrefix",
  "connectTimeoutMs",
  "reconnectWaitMs",
];

export function connectionProblems(options: NodeOptions, valid: IsValid): string[] {
  const given = (name: OptionName): boolean => options[name] !== undefined;
  const problems: string[] = [];
  if (given("connection")) {
    const useless = CONNECTING.filter(given);
    if (useless.length > 0) {
      problems.push(
        `connection (an object) must come without ${useless.join(", ")}: an open connection excludes options on how to connect`,
      );
    }
  } else if (!given("servers")) {
    problems.push(
      "servers is missing; it must be one or a list of nats://host:port, unless an open connection is given",
    );
  }
  if (given("user") && !given("pass")) problems.push(`${quote("user", options.user)} must come with pass`);
  if (given("pass") && !given("user")) problems.push(`${quote("pass", options.pass)} must come with user`);
  if (given("jwt") && !given("nkeySeed")) {
    problems.push(`${quote("jwt", options.jwt)} must come with nkeySeed, the key that signs for it`);
  }
  const methods = methodsOf(options);
  if (methods.length > 1) {
    problems.push(`${methods.join(", ")} (hidden): must be one authentication method, not ${methods.length}`);
  }
  if (given("tls") && valid("tls")) {
    const { cert, key } = options.tls ?? {};
    if ((cert === undefined) !== (key === undefined)) {
      problems.push(
        `tls.${cert === undefined ? "key" : "cert"} (hidden) must come with its counterpart: cert and key go together`,
      );
    }
  }
  if (given("logLevel") && given("logger")) {
    problems.push(
      `${quote("logLevel", options.logLevel)} must come without logger: it sets the level of the built-in logger only`,
    );
  }
  return problems;
}

function methodsOf(options: NodeOptions): string[] {
  const { servers } = options;
  const urls = typeof servers === "string" ? [servers] : Array.isArray(servers) ? servers : [];
  const candidates: readonly (readonly [string, boolean])[] = [
    ["user/pass", options.user !== undefined || options.pass !== undefined],
    ["token", options.token !== undefined],
    [
      options.jwt === undefined ? "nkeySeed" : "jwt/nkeySeed",
      options.jwt !== undefined || options.nkeySeed !== undefined,
    ],
    ["credsFile", options.credsFile !== undefined],
    ["creds", options.creds !== undefined],
    ["credentials in servers", urls.some((url) => typeof url === "string" && url.includes("@"))],
  ];
  return candidates.filter(([, given]) => given).map(([name]) => name);
}

/** A server's address as an error quotes it. `user:pass` without a host matches host:port, so only a numeric port is shown. */
function showServer(text: string): string {
  const safe = redactUrl(text);
  const [, before, after] = /^((?:[a-z]+:\/\/)?(?:\[[0-9a-f:.]*\]|[^:]*):)(?!\/\/)(.*)$/is.exec(safe) ?? [];
  return show(after === undefined || /^\d*\/?$/.test(after) ? safe : `${before}***`);
}

type Login = Pick<NatsOptions, "user" | "pass" | "token">;

export interface ParsedServers {
  readonly urls: readonly string[];
  readonly login: Login;
  /** At least one is `tls://`. */
  readonly tls: boolean;
  readonly problems: readonly string[];
}

const SERVER = /^(?:(nats|tls):\/\/)?(?:(.*)@)?([^\s@:/?#,[\]]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/is;
const DEFAULT_PORT = "4222";

/** Splits server URLs into addresses and credentials. All URLs with credentials must have the same. */
export function parseServers(servers: NodeOptions["servers"]): ParsedServers {
  const texts = typeof servers === "string" ? [servers] : (servers ?? []);
  const urls: string[] = [];
  const logins = new Map<string, Login>();
  const problems: string[] = [];
  for (const text of texts) {
    const [, scheme, userinfo, host, port = DEFAULT_PORT] = SERVER.exec(text.trim()) ?? [];
    const login = userinfo === undefined ? {} : loginOf(userinfo);
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
      const hint = text.includes(",") ? "; a list is an array" : "";
      problems.push(
        `servers ${showServer(text)} must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535${hint}`,
      );
    } else if (login === null) {
      problems.push(
        `servers ${showServer(text)} must have credentials as user:pass@ or token@, special characters percent-encoded`,
      );
    } else {
      urls.push(`${scheme?.toLowerCase() ?? "nats"}://${host}:${port}`);
      if (userinfo !== undefined) logins.set(JSON.stringify(login), login);
    }
  }
  if (logins.size > 1) {
    problems.push(
      `servers ${show(servers)} must all have the same credentials: after a reconnect any of them may be in use`,
    );
  }
  const [login = {}] = logins.values();
  return { urls, login, tls: urls.some((url) => url.startsWith("tls:")), problems };
}

function loginOf(userinfo: string): Login | null {
  const colon = userinfo.indexOf(":");
  try {
    if (colon < 0) return userinfo === "" ? null : { token: decodeURIComponent(userinfo) };
    const user = decodeURIComponent(userinfo.slice(0, colon));
    const pass = decodeURIComponent(userinfo.slice(colon + 1));
    return user === "" || pass === "" ? null : { user, pass };
  } catch {
    // Malformed percent-encoding. The error is dropped, because it quotes the input.
    return null;
  }
}
