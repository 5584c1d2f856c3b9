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
    if (event.type === "connected") {
      if (!isConnected) dispatch({ type: "nats-reconnect" });
      isConnected = true;
    } else if (event.type === "disconnected" || event.type === "closed") {
      if (isConnected) dispatch({ type: "nats-disconnect", error: event.error });
      isConnected = false;
      if (event.type === "closed") dispatch({ type: "connection-closed", error: event.error });
    }
  };
}
