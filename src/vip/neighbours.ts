/** Asks the other hosts of the network about the address, and announces it to them. */
import { messageOf } from "../errors.ts";
import type { CidrAddress } from "./address.ts";
import { announcement, answerPattern, ethertypeOf, question } from "./frames.ts";
import type { AskableLink } from "./ip-command.ts";
import { type Exchange, isNotPermitted, RawLink, type RawTool, rawTools } from "./raw-link.ts";

const QUESTIONS = 3;

/** Uses the first tool (perl, python3) that works on this host. */
export class Neighbours {
  readonly #address: CidrAddress;
  readonly #tools: RawTool[];
  #link: RawLink | null = null;
  #why = "neither perl nor python3 is installed on this host";

  constructor(address: CidrAddress, tools: RawTool[] = rawTools()) {
    this.#address = address;
    this.#tools = [...tools];
  }

  /** Why neither questions nor announcements are possible; `null` while no failure is known. */
  get impossible(): string | null {
    return this.#tools.length === 0 ? this.#why : null;
  }

  /** Starts the tool's process in advance, which saves the time to start it during a takeover. */
  warm(): void {
    const [tool] = this.#tools;
    if (tool !== undefined && this.#link?.running !== true) this.#link = new RawLink(tool);
  }

  /** Ends the process. It is started again when needed. */
  close(): void {
    this.#link?.close();
    this.#link = null;
  }

  /**
   * Sends three questions. Resolves with the hardware address of the host that has the address, or with `null` if no host answers
   * within `silenceMs`. Rejects if the question cannot be sent.
   */
  ask(link: AskableLink, silenceMs: number): Promise<string | null> {
    return this.#exchange({
      index: link.index,
      ethertype: ethertypeOf(this.#address),
      frames: Array<Buffer>(QUESTIONS).fill(question(this.#address, link.mac)),
      listenMs: Math.max(1, Math.ceil(silenceMs / QUESTIONS)),
      pattern: answerPattern(this.#address),
    });
  }

  /** Announces to all hosts of the network that this host has the address. */
  async announce(link: AskableLink): Promise<void> {
    await this.#exchange({
      index: link.index,
      ethertype: ethertypeOf(this.#address),
      frames: announcement(this.#address, link.mac),
      listenMs: 0,
      pattern: [],
    });
  }

  /** Uses the first tool that works. A tool that has failed is not tried again. */
  async #exchange(what: Exchange): Promise<string | null> {
    for (;;) {
      this.warm();
      const used = this.#link;
      if (used === null) throw new Error(this.#why);
      try {
        return await used.exchange(what);
      } catch (error) {
        const why = messageOf(error);
        // A link that is down is no failure of the tool, and is temporary.
        if (/network is down|no such device/i.test(why)) throw error;
        if (this.#link !== used) continue; // ended by `close()`, or already replaced
        this.#why = isNotPermitted(error) ? `${why} (CAP_NET_RAW is missing)` : why;
        this.close();
        this.#tools.shift();
      }
    }
  }
}
