/** The HTTP server of a configuration. */
import { existsSync } from "node:fs";
import { ClusterError, messageOf } from "../../errors.ts";
import { show } from "../check.ts";
import { HTTP_OFF, isToken, TOKEN_RULE } from "../listen.ts";
import { readSecret } from "./read.ts";
import type { FileConfig, HttpConfig } from "./types.ts";

export function httpOf({ http }: FileConfig, token: string | undefined): HttpConfig | null {
  const { listen = HTTP_OFF, tokenFile, hosts } = http ?? {};
  return listen === HTTP_OFF ? null : { listen, token, tokenFile, hosts };
}

/**
 * The token that requests need; `undefined`: none. Its file is read here, when the server is about to listen: other commands use the same
 * configuration, and their users may not be able to read it.
 *
 * @throws ClusterError `INVALID_CONFIG`
 */
export function httpToken({ token, tokenFile }: HttpConfig): string | undefined {
  if (token === undefined && tokenFile === undefined) return undefined;
  const found = token ?? readToken(tokenFile ?? "");
  if (isToken(found)) return found;
  const source =
    token === undefined ? `http.tokenFile ${show(tokenFile)}: the token in it` : "NATS_LEADER_HTTP_TOKEN";
  throw new ClusterError("INVALID_CONFIG", `${source} (hidden) must be ${TOKEN_RULE}`);
}

/** What is wrong with the token: at most one line. That its file does not exist is found with the other files. */
export function tokenProblems({ http }: Pick<FileConfig, "http">, token: string | undefined): string[] {
  const tokenFile = http?.tokenFile;
  if (token === undefined && (tokenFile === undefined || !existsSync(tokenFile))) return [];
  try {
    httpToken({ listen: HTTP_OFF, token, tokenFile, hosts: undefined });
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}

function readToken(file: string): string {
  try {
    return readSecret(file);
  } catch (error) {
    throw new ClusterError("INVALID_CONFIG", `http.tokenFile ${show(file)} ${messageOf(error)}`, {
      cause: error,
    });
  }
}
