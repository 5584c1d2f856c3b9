/**
 * Every command of the program: its line in `--help`, and the module that has its options and its action. A module is
 * imported when its command is used, so that `--help` and `version` load neither the NATS client nor the configuration.
 */
import type { Command } from "commander";

export interface CommandEntry {
  readonly name: string;
  /** The arguments as the help shows them. Equal to those that the module declares (tested). */
  readonly args?: string;
  readonly description: string;
  /** Resolves to a function that adds arguments, options, help text, subcommands and the action. */
  readonly load: () => Promise<(command: Command) => Command>;
}

/** In the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "init",
    description: "write a configuration file",
    load: async () => (await import("./commands/init.ts")).init,
  },
  {
    name: "daemon",
    description: "run a node until SIGINT or SIGTERM",
    load: async () => (await import("./commands/daemon.ts")).daemon,
  },
  {
    name: "run",
    args: "<command...>",
    description: "run a program only while this host leads",
    load: async () => (await import("./commands/run.ts")).run,
  },
  {
    name: "status",
    description: "show the leader and this node's daemon",
    load: async () => (await import("./commands/status.ts")).status,
  },
  {
    name: "health",
    description: "check the daemon of this host by its HTTP server",
    load: async () => (await import("./commands/health.ts")).health,
  },
  {
    name: "watch",
    description: "show changes of leadership until Ctrl-C",
    load: async () => (await import("./commands/watch.ts")).watch,
  },
  {
    name: "ui",
    description: "serve a live page of all clusters and groups",
    load: async () => (await import("./commands/ui.ts")).ui,
  },
  {
    name: "nodes",
    description: "list all nodes of the cluster",
    load: async () => (await import("./commands/nodes.ts")).nodes,
  },
  {
    name: "groups",
    description: "list the groups of the account",
    load: async () => (await import("./commands/groups.ts")).groups,
  },
  {
    name: "group",
    description: "show a group, its members and what each owns",
    load: async () => (await import("./commands/group.ts")).group,
  },
  {
    name: "history",
    description: "list past terms and why they ended",
    load: async () => (await import("./commands/history.ts")).history,
  },
  {
    name: "doctor",
    description: "diagnose servers, bucket, nodes, clocks and permissions",
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
  {
    name: "permissions",
    args: "<role>",
    description: "print the NATS permissions that a role needs",
    load: async () => (await import("./commands/permissions.ts")).permissions,
  },
  {
    name: "create-bucket",
    description: "create the bucket of a cluster, as its administrator",
    load: async () => (await import("./commands/create-bucket.ts")).createBucket,
  },
  {
    name: "promote",
    description: "make this node the leader",
    load: async () => (await import("./commands/leadership.ts")).promote,
  },
  {
    name: "demote",
    description: "make this node step down, if it leads",
    load: async () => (await import("./commands/leadership.ts")).demote,
  },
  {
    name: "transfer",
    args: "<node>",
    description: "make another node the leader",
    load: async () => (await import("./commands/leadership.ts")).transfer,
  },
  {
    name: "stepdown",
    args: "[node]",
    description: "make the leader step down",
    load: async () => (await import("./commands/leadership.ts")).stepdown,
  },
  {
    name: "join",
    description: "check the cluster; make this node compete again",
    load: async () => (await import("./commands/leadership.ts")).join,
  },
  {
    name: "leave",
    description: "make this node step down and stop competing",
    load: async () => (await import("./commands/leadership.ts")).leave,
  },
  {
    name: "config",
    description: "check a configuration, print its JSON Schema",
    load: async () => (await import("./commands/config.ts")).config,
  },
  {
    name: "bench",
    description: "measure failover on this machine",
    load: async () => (await import("./commands/bench.ts")).bench,
  },
  {
    name: "demo",
    description: "start a server and three nodes, and replace their leader",
    load: async () => (await import("./commands/demo.ts")).demo,
  },
  {
    name: "completion",
    args: "<shell>",
    description: "print a completion script for a shell",
    load: async () => (await import("./commands/completion.ts")).completion,
  },
  {
    name: "version",
    description: "print the version",
    load: async () => (await import("./commands/version.ts")).version,
  },
];
