import type { StoredMessage } from "../../nats/api/stored-message.ts";

/** Whether the message says that its key is deleted. */
export function isMarker(message: StoredMessage): boolean {
  const operation = message.headers.get("KV-Operation");
  return operation === "DEL" || operation === "PURGE" || message.headers.has("Nats-Marker-Reason");
}
