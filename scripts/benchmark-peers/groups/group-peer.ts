/** The port that a compared system of groups implements: a server, producers, and members that share the partitions of a topic. */

export interface GroupPeer {
  readonly system: string;
  /** The client library and how it is used, for the report. */
  readonly client: string;
  /** After so long without a heartbeat the server ends a member; `null`: something else shows that it has gone. */
  readonly sessionTimeoutMs: number | null;
  /** Debian packages of the programs that it needs. */
  readonly packages: readonly string[];
  /** Why it cannot run on this machine, and what to do; `undefined`: it can. */
  missing(): string | undefined;
  /** Downloads what no package has. */
  obtain?(say: (line: string) => void, signal: AbortSignal): Promise<void>;
  /** Starts the server with all files in `dir`, on free loopback ports, with an empty topic. */
  startServer(dir: string, partitions: number, signal: AbortSignal): Promise<GroupServer>;
  /** Starts a process that publishes to every partition. */
  startProducer(task: ProducerTask, on: ProcessListener): MemberProcess;
  /** Starts a process that consumes its share of the partitions. */
  startMember(task: MemberTask, on: MemberListener): MemberProcess;
}

export interface GroupServer {
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

export interface ProducerTask {
  readonly url: string;
  readonly partitions: number;
  /** One message per partition in this time. */
  readonly everyMs: number;
}

export interface MemberTask {
  readonly url: string;
  readonly id: string;
  readonly partitions: number;
  /** New for every mode: a member of an earlier one cannot come back into it. */
  readonly group: string;
}

/** A message was consumed: its partition, and when (`hostNowMs()`). */
export type Consumed = readonly [partition: number, at: number];

export interface ProcessListener {
  readonly failed: (message: string) => void;
}

export interface MemberListener extends ProcessListener {
  readonly consumed: (messages: readonly Consumed[]) => void;
}

export interface MemberProcess {
  /** Resolves when the process has exited. */
  readonly exited: Promise<void>;
  readonly stderr: string;
  signal(name: NodeJS.Signals): void;
  /** Kills the process. Idempotent. */
  end(): Promise<void>;
}

export const TOPIC = "ticks";
