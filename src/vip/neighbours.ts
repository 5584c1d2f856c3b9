/** What other hosts of the network know and say about the address. */
import type { CidrAddress } from "./address.ts";
import { announcement, answerPattern, ethertypeOf, question } from "./frames.ts";
import type { AskableLink } from "./ip-command.ts";
import { exchange, isNotPermitted, type RawTool, rawTools } from "./raw-link.ts";

const QUESTIONS = 3;

/** Asks and tells. Remembers what works on this host. */
export class Neighbours {
  readonly #address: CidrAddress;
  readonly #tools: RawTool[];
  #why: string;

  constructor(address: CidrAddress, tools: RawTool[] = rawTools()) {
    this.#address = address;
    this.#tools = tools;
    this.#why = "there is neither perl nor python3 on this host";
  }

  /** Why neither asking nor telling is possible; `null` when it is, as far as is known. */
  get impossible(): string | null {
    return this.#tools.length === 0 ? this.#why : null;
  }

  /**
   * The hardware address of a host that has the address, `null` when nobody answered for `silenceMs`. Rejects when it
   * can't be asked, or with the signal's reason.
   */
  async ask(link: AskableLink, silenceMs: number, signal: AbortSignal): Promise<string | null> {
    return this.#exchange({
      index: link.index,
      ethertype: ethertypeOf(this.#address),
      frames: Array<Buffer>(QUESTIONS).fill(question(this.#address, link.mac)),
      listenMs: Math.max(1, Math.ceil(silenceMs / QUESTIONS)),
      pattern: answerPattern(this.#address),
      signal,
    });
  }

  /** Tells everybody that the address is here. */
  async tell(link: AskableLink, signal: AbortSignal): Promise<void> {
    await this.#exchange({
      index: link.index,
      ethertype: ethertypeOf(this.#address),
      frames: announcement(this.#address, link.mac),
      listenMs: 0,
      pattern: [],
      signal,
    });
  }

  /** With the first tool that works; one that doesn't is not tried again. */
  async #exchange(what: Parameters<typeof exchange>[1]): Promise<string | null> {
    for (;;) {
      const [tool] = this.#tools;
      if (tool === undefined) throw new Error(this.#why);
      try {
        return await exchange(tool, what);
      } catch (error) {
        if (what.signal.aborted) throw error;
        const why = error instanceof Error ? error.message : String(error);
        this.#why = isNotPermitted(error) ? `${why} (CAP_NET_RAW is missing)` : why;
        // A link that is down is nobody's fault and passes.
        if (/network is down|no such device/i.test(why)) throw error;
        this.#tools.shift();
      }
    }
  }
}
