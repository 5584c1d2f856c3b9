import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { connect, nkeys } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isAtLeast } from "../../src/nats/api/server-version.ts";
import { connectNats, type NatsOptions } from "../../src/nats/connection/connection.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { authenticatorOf } from "../../src/nats/connection/credentials.ts";
import { startNatsCluster, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { link } from "../support/nats/store-and-session.ts";
import { START_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const who = { clusterId: "billing", nodeId: "a" };
const user = nkeys.createUser();
const server = useNatsServer({
  config: `authorization { users: [
    { user: alice, password: "1s3cr3t@:/" }
    { nkey: ${user.getPublicKey()} } ] }`,
});

const credentials = { user: "alice", pass: "1s3cr3t@:/" };

function openSockets(): number {
  const target = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // the descriptor of the listing itself
    }
  };
  return readdirSync("/proc/self/fd").filter((fd) => target(fd).startsWith("socket:")).length;
}

async function refusal(options: NatsOptions): Promise<Error> {
  try {
    await link([server.url], { connectTimeoutMs: START_MS, ...options });
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("connected");
}

describe("a connection", () => {
  test("reconnects without limit, pings every second, and is named after its node", async () => {
    const made = await connectNats({ servers: [server.url], ...credentials }, who);
    atEnd(() => made.close());
    expect(made.owned).toBe(true);
    const { options } = made.connection as unknown as { options: Record<string, unknown> };
    expect(options).toMatchObject({
      name: "nats-leader/billing/a",
      maxReconnectAttempts: -1,
      pingInterval: 1000,
      maxPingOut: 2,
      reconnectTimeWait: 100,
      timeout: 2000,
      waitOnFirstConnect: false,
    });
    await made.close();
    await made.close();
    expect(made.connection.isClosed()).toBe(true);
  });

  test.runIf(process.platform === "linux")(
    "to a frozen server is dialled again and again on one socket",
    async () => {
      const own = await startNatsServer();
      atEnd(() => own.dispose());
      const made = await connectNats({ servers: [own.url], connectTimeoutMs: 200, reconnectWaitMs: 10 }, who);
      atEnd(() => made.close());
      const before = openSockets();
      await own.pause();
      atEnd(() => own.resume());
      let dials = 0;
      for await (const { type } of made.connection.status()) {
        if (type === "reconnecting" && ++dials === 6) break;
      }
      // Five dials have timed out. One more socket than before is allowed: that of the current dial.
      expect(openSockets()).toBeLessThanOrEqual(before + 1);
    },
  );

  test("that was passed in is used and never closed", async () => {
    const connection = await connect({ servers: server.url, ...credentials });
    atEnd(() => connection.close());
    const made = await connectNats({ connection }, who);
    expect(made).toMatchObject({ connection, owned: false });
    await made.close();
    expect(connection.isClosed()).toBe(false);
    await connection.close();
    await expect(connectNats({ connection }, who)).rejects.toMatchObject({ code: "NO_CONNECTION" });
  });

  test.each<[string, () => NatsOptions]>([
    ["user and password", () => credentials],
    ["an nkey seed", () => ({ nkeySeed: new TextDecoder().decode(user.getSeed()) })],
  ])("accepts %s", async (_name, options) => {
    const { connection } = await link([server.url], options());
    await connection.flush();
  });
});

describe("a connection that cannot be established", () => {
  test("because of the credentials: fails at once, and the error does not contain them", async () => {
    const error = await refusal({ user: "alice", pass: "wr0ng" });
    expect(error).toMatchObject({ code: "AUTHORIZATION", recoverable: false });
    expect(error.message).toMatch(/127\.0\.0\.1:\d+ refused the credentials/);
    expect(error.message).not.toContain("wr0ng");
  });

  test("because of the credentials: fails on a cluster, too, whose servers announce each other", async () => {
    const config = 'authorization { user: alice, password: "right" }';
    const cluster = await startNatsCluster({ size: 2, jetstream: false, config, startTimeoutMs: START_MS });
    atEnd(() => cluster.dispose());
    for (const servers of [cluster.urls, cluster.urls.slice(1)]) {
      const error = await refusal({ servers, user: "alice", pass: "wr0ng" });
      expect(error).toMatchObject({ code: "AUTHORIZATION", recoverable: false });
    }
    const { connection } = await link(cluster.urls.slice(1), { user: "alice", pass: "right" });
    await connection.flush();
  });

  test("because no server listens: fails with a recoverable error that names the addresses", async () => {
    const error = await refusal({ servers: ["nats://127.0.0.1:1", "127.0.0.1:2"] });
    expect(error).toMatchObject({ code: "NO_CONNECTION", recoverable: true });
    expect(error.message).toContain("127.0.0.1:1, 127.0.0.1:2: connection refused");
  });

  test("because a host name cannot be resolved: names it, and not a server that may not run", async () => {
    const error = await refusal({ servers: ["nats://nats.invalid:4222"] });
    expect(error).toMatchObject({ code: "NO_CONNECTION", recoverable: true });
    expect(error.message).toMatch(
      /^no connection to NATS at nats\.invalid:4222: host name "nats\.invalid" cannot be resolved \((ENOTFOUND|EAI_AGAIN)\); check the name, and the name service of this host$/,
    );
  });

  test("because no server answers: fails at the timeout", async () => {
    // nats.js does not close the socket of a connection attempt that has timed out.
    const silent = createServer((socket) => void atEnd(() => socket.destroy()));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    atEnd(() => silent.close());
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : 0;
    const start = performance.now();
    const error = await refusal({ servers: [`127.0.0.1:${port}`], connectTimeoutMs: 200 });
    expect(error).toMatchObject({ code: "NO_CONNECTION", recoverable: true });
    // The default is 5 s.
    expect(performance.now() - start).toBeLessThan(4900);
  });

  test("because the caller aborted: is closed even if the dial succeeds later", async () => {
    const giveUp = new AbortController();
    const connecting = connectNats(
      { servers: [server.url], ...credentials },
      { ...who, signal: giveUp.signal },
    );
    giveUp.abort(new Error("enough"));
    await expect(connecting).rejects.toMatchObject({ code: "ABORTED" });
    await expect(
      connectNats({ servers: [server.url] }, { ...who, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "ABORTED" });
  });

  test.each<[NatsOptions, RegExp]>([
    [{ servers: [] }, /must not be empty/],
    [{ credsFile: "/does/not/exist.creds" }, /credsFile "\/does\/not\/exist.creds" cannot be read/],
    [{ creds: "not creds" }, /creds is not a NATS credentials file/],
    [{ nkeySeed: "SUWRONG" }, /nkeySeed is not the seed/],
    [{ token: "t", user: "u" }, /give one of/],
  ])("because of its options: the error names the option: %j", async (options, message) => {
    await expect(connectNats({ servers: [server.url], ...options }, who)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(message),
    });
  });
});

describe("a creds file", () => {
  function creds(jwt: string): string {
    const seed = new TextDecoder().decode(user.getSeed());
    return [
      `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`,
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    ].join("\n");
  }

  test("is read again at every reconnect, and an invalid file does not replace a valid one", () => {
    const dir = mkdtempSync(join(tmpdir(), "nats-leader-"));
    atEnd(() => rmSync(dir, { recursive: true }));
    const path = join(dir, "user.creds");
    writeFileSync(path, creds("jwt-one"));
    const authenticator = authenticatorOf({ credsFile: path });
    expect(authenticator?.("nonce")).toMatchObject({ jwt: "jwt-one", sig: expect.any(String) });
    writeFileSync(path, creds("jwt-two"));
    expect(authenticator?.("nonce")).toMatchObject({ jwt: "jwt-two" });
    writeFileSync(path, "half-writ");
    expect(authenticator?.("nonce")).toMatchObject({ jwt: "jwt-two" });
    rmSync(path);
    expect(authenticator?.("nonce")).toMatchObject({ jwt: "jwt-two" });
  });

  test("can be text, or a JWT and a seed", () => {
    expect(authenticatorOf({ creds: creds("jwt") })?.("nonce")).toMatchObject({ jwt: "jwt" });
    const nkeySeed = new TextDecoder().decode(user.getSeed());
    expect(authenticatorOf({ jwt: "jwt", nkeySeed })?.("nonce")).toMatchObject({
      jwt: "jwt",
      nkey: user.getPublicKey(),
    });
    expect(authenticatorOf({})).toBeNull();
  });
});

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** A key and a certificate that is its own authority, for these names. */
function makeCertificate(dir: string, names: string): { readonly key: string; readonly cert: string } {
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  mkdirSync(dir, { recursive: true });
  const args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test";
  const rest = ["-addext", `subjectAltName=${names}`, "-keyout", key, "-out", cert];
  execFileSync("openssl", [...args.split(" "), ...rest], { stdio: "ignore" });
  return { key, cert };
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((infos) => infos?.some(({ address }) => address === "::1"));
}

/**
 * How long a server with `handshake_first` waits for the handshake before it sends its first message. "auto" is 50 ms, too short for
 * a busy machine; `startNatsServer()` waits 1 s for that message.
 */
const TLS_FIRST_WITHIN = "600ms";

describe.skipIf(!hasOpenssl())("TLS", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "nats-leader-tls-"));
    makeCertificate(dir, "DNS:localhost,IP:127.0.0.1");
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  async function tlsServer(extra = "") {
    const own = await startNatsServer({
      config: `tls { cert_file: "${dir}/cert.pem", key_file: "${dir}/key.pem", timeout: 5 ${extra} }`,
    });
    atEnd(() => own.dispose());
    return own;
  }

  test("works with the CA certificate as a file and as text", async () => {
    const own = await tlsServer();
    for (const ca of [join(dir, "cert.pem"), readFileSync(join(dir, "cert.pem"), "utf8")]) {
      const { connection } = await link([`tls://localhost:${own.port}`], { tls: { ca } });
      expect(connection.info?.tls_required).toBe(true);
    }
  });

  test("can start before the server's first message", async () => {
    if (!isAtLeast(server.version, "2.11.0")) return;
    const own = await tlsServer(`, handshake_first: "${TLS_FIRST_WITHIN}"`);
    const tls = { ca: join(dir, "cert.pem"), handshakeFirst: true };
    const { connection } = await link([`tls://localhost:${own.port}`], { tls });
    await connection.flush();
  });

  test("with an unknown CA fails for good with a hint what to check", async () => {
    const own = await tlsServer();
    const error = await refusal({ servers: [`tls://localhost:${own.port}`] });
    expect(error).toMatchObject({ code: "NO_CONNECTION", recoverable: false });
    expect(error.message).toMatch(/no TLS connection.*; check tls.ca/);
    const plain = await refusal({ servers: [`nats://127.0.0.1:${own.port}`] });
    expect(plain.message).toMatch(/no TLS connection.*; ask for TLS with tls:\/\/ in servers/);
  });

  const HOSTS = { "127.0.0.1": "IP:127.0.0.1", "[::1]": "IP:::1", localhost: "DNS:localhost" };

  test.each(Object.entries(HOSTS))(
    "to %s needs a certificate with %s, at the first connection and at a reconnect",
    async (host, right) => {
      if (host === "[::1]" && !hasIpv6()) return;
      const { key, cert } = makeCertificate(join(dir, right.replaceAll(":", "_")), right);
      // This host replaces the one that was generated: all addresses of the machine.
      const config = `host: "::"\ntls { cert_file: "${cert}", key_file: "${key}", timeout: 5 }`;
      const own = await startNatsServer({ jetstream: false, config });
      atEnd(() => own.dispose());
      for (const other of Object.keys(HOSTS)) {
        if (other === "[::1]" && !hasIpv6()) continue;
        const options = { servers: [`tls://${other}:${own.port}`], tls: { ca: cert } };
        if (other !== host) {
          expect((await refusal(options)).message).toMatch(
            /does not match certificate's altnames.*host name in servers/,
          );
          continue;
        }
        const { connection } = await link(options.servers, options);
        const monitor = ConnectionMonitor.acquire(connection);
        const back = new Promise<void>((resolve) => monitor.listen(({ type }) => type === "up" && resolve()));
        await connection.reconnect();
        await back;
        monitor.release();
        await connection.flush();
      }
    },
  );

  test("that starts before the server's first message checks an IP address, too", async () => {
    if (!isAtLeast(server.version, "2.11.0")) return;
    const own = await tlsServer(`, handshake_first: "${TLS_FIRST_WITHIN}"`);
    const tls = { ca: join(dir, "cert.pem"), handshakeFirst: true };
    const { connection } = await link([`tls://127.0.0.1:${own.port}`], { tls });
    await connection.flush();
    const { key, cert } = makeCertificate(join(dir, "name"), "DNS:localhost");
    const named = await startNatsServer({
      config: `tls { cert_file: "${cert}", key_file: "${key}", handshake_first: "${TLS_FIRST_WITHIN}" }`,
    });
    atEnd(() => named.dispose());
    const error = await refusal({
      servers: [`tls://127.0.0.1:${named.port}`],
      tls: { ca: cert, handshakeFirst: true },
    });
    expect(error.message).toMatch(/IP: 127.0.0.1 is not in the cert's list/);
  });
});
