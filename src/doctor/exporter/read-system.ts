/** Reads the documents of all servers of a NATS system through its system account. */
import { messageOf } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import { textIn } from "../sources/json.ts";
import type { Document, Documents, SourceReading } from "../sources/read-server.ts";
import type { SystemSource } from "../sources/system-source.ts";

const DOCUMENTS: readonly Document[] = ["varz", "jsz", "routez", "gatewayz", "healthz", "connz", "closedz"];
/** More servers than this are not remembered when they are gone. */
const MAX_REMEMBERED = 1_000;

export class SystemReader {
  readonly #source: SystemSource;
  /** The id of every server that has answered, by its name. One that does not answer any more is down. */
  readonly #known = new Map<string, string | null>();

  constructor(source: SystemSource) {
    this.#source = source;
  }

  async read(): Promise<SourceReading[]> {
    const started = performance.now();
    let failure: string | null = null;
    const ask = async (document: Document): Promise<ReadonlyMap<string, JsonObject>> => {
      try {
        return await this.#source.documents(document, this.#known.size);
      } catch (thrown) {
        failure ??= messageOf(thrown);
        return new Map();
      }
    };
    const answers = new Map(
      await Promise.all(DOCUMENTS.map(async (name) => [name, await ask(name)] as const)),
    );
    const varz = answers.get("varz");
    for (const [name, document] of varz ?? []) {
      if (this.#known.size < MAX_REMEMBERED || this.#known.has(name)) {
        this.#known.set(name, textIn(document, "server_id"));
      }
    }
    const tookMs = performance.now() - started;
    return [...this.#known].map(([server, serverId]): SourceReading => {
      const of = (document: Document): JsonObject | null => answers.get(document)?.get(server) ?? null;
      const documents: Documents = {
        varz: of("varz"),
        jsz: of("jsz"),
        routez: of("routez"),
        gatewayz: of("gatewayz"),
        healthz: of("healthz"),
        connz: of("connz"),
        closedz: of("closedz"),
      };
      const error = documents.varz === null ? (failure ?? "no answer to the system account in time") : null;
      return { source: null, server, serverId, error, unread: [], tookMs, documents };
    });
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
