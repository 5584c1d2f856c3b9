/** What a node's log says of its election. */
import type { Logger } from "../log/logger.ts";
import type { Output } from "../runtime/driver.ts";

export function logOutput(logger: Logger, output: Output): void {
  switch (output.type) {
    case "become-leader":
      return logger.info({ event: "become", epoch: output.epoch }, "became leader");
    case "suspend":
      return logger.warn({ event: "suspended", epoch: output.epoch }, "term suspended");
    case "resume":
      return logger.warn({ event: "resumed", epoch: output.epoch }, "term resumed");
    case "lose": {
      const { epoch, reason, by } = output;
      return logger.warn({ event: "lose", epoch, reason, by: by?.nodeId }, "lost leadership");
    }
    case "drain": {
      const { epoch, reason } = output;
      return logger.info({ event: "drain", epoch, reason }, "giving up leadership");
    }
    case "released": {
      const { epoch, deleted } = output;
      const what = deleted ? "lease released" : "lease left to run out";
      return logger.info({ event: "released", epoch, deleted }, what);
    }
    case "leader-changed": {
      const { leader } = output;
      const what = leader === null ? "nobody leads" : `"${leader.nodeId}" leads`;
      return logger.info({ event: "leader", leader: leader?.nodeId ?? null, epoch: leader?.epoch }, what);
    }
    case "warn":
      return logger.warn({ event: "warning", code: output.code, err: output.error }, output.message);
    case "stopped":
      // Said when everything is closed.
      return;
    default:
      output satisfies never;
  }
}
