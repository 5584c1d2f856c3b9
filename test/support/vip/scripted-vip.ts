import { START_MS } from "../patience.ts";
import { type Child, spawnChild } from "../processes/spawn-child.ts";
import type { Host } from "./network-namespaces.ts";

/** A line of `children/scripted.ts`. */
export interface Line {
  readonly ready?: boolean;
  readonly done?: string;
  readonly failed?: string;
  readonly code?: string;
  readonly message?: string;
  readonly level?: string;
  readonly event?: string;
  readonly state?: string;
  readonly at?: number;
  readonly keeper?: number;
  readonly acquired?: boolean;
  readonly onInterface?: boolean;
  readonly ip?: string;
  readonly owner?: string;
  readonly waitMs?: number;
  readonly why?: string;
  readonly tookMs?: number;
}

/** A process on that host with a `VirtualIp`. `within`: a command that starts Node inside the namespace. */
export async function scripted(
  host: Host,
  options: object,
  within: readonly string[] = [],
): Promise<Scripted> {
  const child = spawnChild<Line>("test/support/vip/children/scripted.ts", {
    args: [JSON.stringify({ interface: host.device, ...options })],
    within: [...host.exec, ...within],
  });
  await child.next((line) => line.ready === true, START_MS);
  return new Scripted(child);
}

export class Scripted implements AsyncDisposable {
  readonly child: Child<Line>;

  constructor(child: Child<Line>) {
    this.child = child;
  }

  /** Sends a command. Resolves with its result or its failure. */
  async does(what: string, ms?: number, timeoutMs?: number): Promise<Line> {
    this.child.send({ do: what, ms });
    return this.child.next((line) => line.done === what || line.failed === what, timeoutMs);
  }

  async event(event: string, timeoutMs?: number): Promise<Line> {
    return this.child.next((line) => line.event === event, timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
  }
}
