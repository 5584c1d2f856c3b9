import type { ApplicationEvent } from "../../application/types.ts";
import type { Session, SessionEvent } from "../ports.ts";

type LinkEvent = Extract<
  ApplicationEvent,
  { type: "nats-disconnect" | "nats-reconnect" | "connection-closed" }
>;

/**
 * Reports to an application side that its connection has ended and that it is back, once each, with the server. Returns the listener of the
 * session.
 */
export function linkReports(
  session: Pick<Session, "linkFacts">,
  dispatch: (event: LinkEvent) => void,
): (event: SessionEvent) => void {
  let isConnected = true;
  let server = session.linkFacts?.server ?? null;
  return (event) => {
    if (event.type === "connected") {
      server = session.linkFacts?.server ?? null;
      if (!isConnected) dispatch({ type: "nats-reconnect", server });
      isConnected = true;
    } else if (event.type === "disconnected" || event.type === "closed") {
      if (isConnected) dispatch({ type: "nats-disconnect", error: event.error, server });
      isConnected = false;
      if (event.type === "closed") dispatch({ type: "connection-closed", error: event.error });
    }
  };
}
