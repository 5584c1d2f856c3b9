/** What other hosts of the network know and say about the address. */
import { messageOf } from "../errors.ts";
import type { CidrAddress } from "./address.ts";
import { announcement, answerPattern, ethertypeOf, question } from "./frames.ts";
import type { AskableLink } from "./ip-command.ts";
import { type Exchange, isNotPermitted, RawLink, type RawTool, rawTools } from "./raw-link.ts";

const QUESTIONS = 3;

/** Asks and tells. Remembers what works on this host. */
export class Neighbours {
  readonly #address: CidrAddress;
  readonly #tools: RawTool[];
  #link: RawLink | null = null;
  #why = "there is neither perl nor python3 on this host";

  constructor(address: CidrAddress, tools: RawTool[] = rawTools()) {
    this.#address = address;
    this.#tools = [...tools];
  }

  /** Why neither asking nor telling is possible; `null` when it is, as far as is known. */
  get impossible(): string | null {
    return this.#tools.length === 0 ? this.#why : null;
  }

  /** Starts what it needs, so that nothing has to be started when time counts. */
  warm(): void {
    const [tool] = this.#tools;
    if (tool !== undefined && this.#link?.running !== true) this.#link = new RawLink(tool);
  }

  /** Ends what was started. It is started again when needed. */
  close(): void {
    this.#link?.close();
    this.#link = null;
  }

  /** The hardware address of a host that has the address, `null` when nobody answered for `silenceMs`. Rejects when it can't be asked. */
  ask(link: AskableLink, silenceMs: number): Promise<string | null> {
    return this.#exchange({
      index: link.index,
      ethertype: ethertypeOf(this.#address),
      frames: Array<Buffer>(QUESTIONS).fill(question(this.#address, link.mac)),
      listenMs: Math.max(1, Math.ceil(silenceMs / QUESTIONS)),
      pattern: answerPattern(this.#address),
    });
  }

  /** Tells everybody that the address is here. */
  async tell(link: AskableLink): Promise<void> {
    await this.#exchange({
      index: link.index,
      ethertype: ethertypeOf(this.#address),
      frames: announcement(this.#address, link.mac),
      listenMs: 0,
      pattern: [],
    });
  }

  /** With the first tool that works; one that doesn't is not tried again. */
  async #exchange(what: Exchange): Promise<string | null> {
    for (;;) {
      this.warm();
      const used = this.#link;
      if (used === null) throw new Error(this.#why);
      try {
        return await used.exchange(what);
      } catch (error) {
        const why = messageOf(error);
        // A link that is down is nobody's fault and passes.
        if (/network is down|no such device/i.test(why)) throw error;
        if (this.#link !== used) continue; // ended by `close()`, or replaced already
        this.#why = isNotPermitted(error) ? `${why} (CAP_NET_RAW is missing)` : why;
        this.close();
        this.#tools.shift();
      }
    }
  }
}
