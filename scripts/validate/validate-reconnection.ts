/** Checks reconnection: the server is restarted under a daemon. Always starts its own server, because it restarts it. */
import { startNatsServer } from "../../src/testing.ts";
import { cli, mainIfStarted, type Script, status, Validation } from "./support.ts";

export const validateReconnection: Script = async (say) => {
  const v = new Validation("reconnection", say);
  try {
    await using server = await startNatsServer({ onProgress: say });
    say(`NATS: ${server.url} (nats-server ${server.version}, started and restarted by this script)`);
    const daemon = v.daemon("node-1", server.url, {
      election: { leaseTtlMs: 10_000, heartbeatIntervalMs: 3_000 },
    });
    let seen: Record<string, unknown> = {};
    const leadsWith = (epoch: number) => async (): Promise<boolean> => {
      seen = await status(daemon);
      return seen["connected"] === true && seen["leader"] === "node-1" && seen["epoch"] === epoch;
    };
    const show = (): unknown => seen;
    const logged = (word: RegExp) => (): boolean => daemon.log.some((line) => word.test(line));

    await v.check("the node is connected and leads", leadsWith(1), show);
    await server.stop();
    await v.check("the disconnect is logged", logged(/disconnected from NATS/), () => daemon.log.slice(-5));
    await v.check("status exits 4 while the server is away", async () => {
      const away = await cli("status", "--config", daemon.config, "--json");
      return away.code === 4 && (JSON.parse(away.stdout) as { connected: boolean }).connected === false;
    });
    await server.start();
    await v.check("the reconnect is logged", logged(/NATS reconnected/), () => daemon.log.slice(-5));
    await v.check("the node is connected and leads in the same term", leadsWith(1), show);
    await server.kill();
    await server.start();
    await v.check("the same term survives a crash of the server", leadsWith(1), show);
    daemon.kill("SIGTERM");
    await v.check("the daemon exits 0", async () => (await daemon.exited) === 0);
  } finally {
    await v.close();
  }
  return v.results;
};

await mainIfStarted(import.meta.url, validateReconnection);
