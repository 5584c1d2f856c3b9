/** A node in a process of its own. */

import { waitFor } from "../../../scripts/shared/wait.ts";
import type { NodeOptions } from "../../../src/index.ts";
import { atEnd } from "../at-end.ts";
import { PATIENCE_MS, START_MS } from "../patience.ts";
import { type Child, spawnChild } from "../processes/spawn-child.ts";
import type { ChildCommand, ChildLine, ChildNodeOptions } from "./children/node.ts";
import { CALM } from "./test-node.ts";

export type LineOf<T extends ChildLine["type"]> = Extract<ChildLine, { readonly type: T }>;

export class ChildNode {
  readonly child: Child<ChildLine>;
  readonly #taken = new Map<string, number>();
  #ended = false;

  constructor(child: Child<ChildLine>) {
    this.child = child;
    void child.exit.then(() => {
      this.#ended = true;
    });
  }

  /** The next report of this type; reports of other types may come before or after. */
  async next<T extends ChildLine["type"]>(type: T, timeoutMs: number = PATIENCE_MS): Promise<LineOf<T>> {
    const index = this.#taken.get(type) ?? 0;
    this.#taken.set(type, index + 1);
    const check = (): ChildLine | undefined => {
      const line = this.child.lines.filter((one) => one.type === type)[index];
      if (line === undefined && this.#ended) throw new Error(`the child has ended. ${this.#describe(type)}`);
      return line;
    };
    const message = (): string => this.#describe(type);
    return (await waitFor(check, { timeoutMs, message, intervalMs: 2 })) as LineOf<T>;
  }

  #describe(type: string): string {
    return `"${type}" after ${JSON.stringify(this.child.lines)}\n${this.child.stderr}`;
  }

  send(command: ChildCommand): void {
    this.child.send(command);
  }

  async status(): Promise<LineOf<"status">> {
    this.send({ do: "status" });
    return this.next("status");
  }

  /** Its status, once it may act as the leader. */
  async leads(): Promise<LineOf<"status">> {
    return waitFor(async () => {
      const status = await this.status();
      return status.held ? status : undefined;
    });
  }

  /** Types of all its reports so far. */
  types(): string[] {
    return this.child.lines.map((line) => line.type);
  }

  /** Types of its reports from hooks. */
  hooks(): string[] {
    return this.child.lines.filter((line) => "atNs" in line).map((line) => line.type);
  }
}

/** A process whose node takes part. It is killed at the end of the test. */
export async function startChildNode(
  place: { readonly url: string },
  options: Omit<NodeOptions, "servers">,
  behaviour: Omit<ChildNodeOptions, "node"> = {},
): Promise<ChildNode> {
  const all: ChildNodeOptions = { node: { ...CALM, servers: place.url, ...options }, ...behaviour };
  const child = spawnChild<ChildLine>("test/support/node/children/node.ts", {
    args: [JSON.stringify(all)],
    readsStderr: behaviour.floodsLogWithoutReader !== true,
  });
  atEnd(() => child[Symbol.asyncDispose]());
  const node = new ChildNode(child);
  await node.next("started", START_MS);
  return node;
}
