/** TLS to NATS servers: where the certificates come from, and which names a server's certificate must contain. */
import type { Socket } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { TlsOptions as NatsTlsOptions } from "@nats-io/transport-node";

/** `ca`, `cert` and `key` are each a path or the PEM text. Files are read again at every reconnect. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Start TLS before the server's first message, for a server with `handshake_first`. */
  readonly handshakeFirst?: boolean;
}

/** For nats.js, which passes all fields on to Node's `tls.connect()`. */
export function tlsOptions(tls: TlsOptions): NatsTlsOptions {
  const result: NatsTlsOptions & { checkServerIdentity?: typeof checkIdentity } = {
    checkServerIdentity: checkIdentity,
  };
  if (tls.ca !== undefined) result[isPem(tls.ca) ? "ca" : "caFile"] = tls.ca;
  if (tls.cert !== undefined) result[isPem(tls.cert) ? "cert" : "certFile"] = tls.cert;
  if (tls.key !== undefined) result[isPem(tls.key) ? "key" : "keyFile"] = tls.key;
  if (tls.handshakeFirst !== undefined) result.handshakeFirst = tls.handshakeFirst;
  return result;
}

function isPem(text: string): boolean {
  return text.includes("-----BEGIN");
}

/** What Node calls `checkServerIdentity` on: the options of `tls.connect()`. */
interface Connecting {
  readonly servername?: string;
  readonly socket?: Socket;
}

/**
 * nats.js passes the name of the server, but for a server that is given by its IP address an empty one: Node then expects a
 * certificate for "localhost". Such a certificate must contain the address that was dialled.
 */
function checkIdentity(
  this: Connecting | undefined,
  host: string,
  certificate: PeerCertificate,
): Error | undefined {
  const dialled = this?.servername === "" ? this.socket?.remoteAddress : undefined;
  return checkServerIdentity(dialled ?? host, certificate);
}
