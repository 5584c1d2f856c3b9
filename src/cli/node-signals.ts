/**
 * SIGUSR1 and SIGUSR2 of a process that runs a node. Without these handlers Node opens its debugger at SIGUSR1, and ends at SIGUSR2
 * without releasing the lease.
 */
import type { Logger, LogLevel } from "../log/logger.ts";
import type { Node } from "../node/node.ts";
import { serverFields } from "../runtime/application/server-text.ts";

/** The level of the log, which SIGUSR2 changes. */
export class SwitchedLevel {
  readonly #given: LogLevel;
  #isDebug = false;

  constructor(given: LogLevel) {
    this.#given = given;
  }

  readonly now = (): LogLevel => (this.#isDebug ? "debug" : this.#given);

  switch(): LogLevel {
    this.#isDebug = !this.#isDebug;
    return this.now();
  }
}

/**
 * SIGUSR1 logs the state of the node; SIGUSR2 switches the level of the log to `debug` and back.
 *
 * @param node the node, or `null` before it exists.
 * @returns removes the handlers.
 */
export function handleUserSignals(log: Logger, level: SwitchedLevel, node: () => Node | null): () => void {
  const onStatus = (): void => log.info(stateOf(node()), "Status");
  const onLevel = (): void => {
    const now = level.switch();
    log.info({ logLevel: now }, "Log level switched");
  };
  process.on("SIGUSR1", onStatus);
  process.on("SIGUSR2", onLevel);
  return () => {
    process.off("SIGUSR1", onStatus);
    process.off("SIGUSR2", onLevel);
  };
}

function stateOf(node: Node | null): object {
  if (node === null || node.role === "stopped") return { role: "starting" };
  const { role, connected, competes, leader, term, server } = node;
  return {
    role,
    held: node.isLeader(),
    leader: leader?.nodeId ?? "none",
    epoch: leader?.epoch ?? 0,
    remainingMs: term === null ? undefined : Math.round(term.remainingMs),
    connected,
    competes,
    ...serverFields(server),
  };
}
