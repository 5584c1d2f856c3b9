/** Names and messages that the benchmark shares with its child processes. */
import type { ChildTask, Command } from "../../src/bench/messages.ts";

export const CLUSTER_ID = "residue";

/** The subjects of the application that shares a node's connection. */
export const app = {
  /** Published by others for the application. */
  feed: (nodeId: string): string => `app.feed.${nodeId}`,
  /** Published by the application, and heard by the crowd. */
  news: "app.news",
  /** Published by the application. No one subscribes to it. */
  bulk: "app.bulk",
  /** Published by the application in front of its news, and heard by itself. */
  mark: (nodeId: string): string => `app.mark.${nodeId}`,
  /** Published by the application after its news. No one subscribes to it. */
  end: (nodeId: string): string => `app.end.${nodeId}`,
} as const;

export type ResidueTask =
  | Extract<ChildTask, { role: "node" }>
  /** Connections with many subscriptions to `app.news`, which read and ignore it. */
  | {
      readonly role: "crowd";
      readonly port: number;
      readonly login: Login | null;
      readonly subscriptions: number;
    };

export interface Login {
  readonly user: string;
  readonly pass: string;
}

/** Command to a node: block the event loop, then publish in one turn. */
export interface BlockCommand extends Command {
  readonly do: "block";
  readonly blockMs: number;
  readonly publishes: number;
}
