/** How many servers of its cluster a connected server advertises to its clients. */
import type { ServerInfo } from "@nats-io/transport-node";
import type { ServerAnswer } from "./ask-servers.ts";
import { textIn } from "./json.ts";

type Info = Pick<ServerInfo, "cluster" | "connect_urls">;

/**
 * Every server of a cluster advertises at least one URL, unless it is configured not to. So as long as fewer servers have answered
 * than there are URLs, an answer may be missing. A server that listens on several addresses advertises all of them. What the whole time
 * limit has shown once is therefore remembered for the same URLs.
 */
export class AdvertisedServers {
  #urls = "";
  #most = 0;

  /** May an answer be missing? */
  areMissing(info: Info | undefined, found: readonly ServerAnswer[]): boolean {
    const expected = urlsOf(info) === this.#urls ? this.#most : (info?.connect_urls?.length ?? 0);
    return inCluster(info, found) < expected;
  }

  /** To be called with all answers. */
  learn(info: Info | undefined, found: readonly ServerAnswer[]): void {
    const urls = urlsOf(info);
    this.#most = Math.max(urls === this.#urls ? this.#most : 0, inCluster(info, found));
    this.#urls = urls;
  }
}

function urlsOf(info: Info | undefined): string {
  return [...(info?.connect_urls ?? [])].sort().join(" ");
}

/** The number of answers of the connected server's cluster. In a super-cluster the servers of other clusters answer, too. */
function inCluster(info: Info | undefined, found: readonly ServerAnswer[]): number {
  return found.filter(({ server }) => textIn(server, "cluster") === (info?.cluster ?? null)).length;
}
