import type { ApplicationEvent } from "../../application/types.ts";
import type { SessionEvent } from "../ports.ts";

type LinkEvent = Extract<
  ApplicationEvent,
  { type: "nats-disconnect" | "nats-reconnect" | "connection-closed" }
>;

/** Reports to an application side that its connection has ended and that it is back, once each. Returns the listener of the session. */
export function linkReports(dispatch: (event: LinkEvent) => void): (event: SessionEvent) => void {
  let isConnected = true;
  return (event) => {
    switch (event.type) {
      case "disconnected":
      case "closed":
        if (isConnected) dispatch({ type: "nats-disconnect", error: event.error });
        isConnected = false;
        if (event.type === "closed") dispatch({ type: "connection-closed", error: event.error });
        return;
      case "connected":
        if (!isConnected) dispatch({ type: "nats-reconnect" });
        isConnected = true;
        return;
      case "rebound":
      case "presence-lost":
      case "beat-proven":
      case "holder-silent":
      case "holder-heard":
        return;
      default:
        event satisfies never;
    }
  };
}
