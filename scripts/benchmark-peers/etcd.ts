/** etcd's election API. */
import { join } from "node:path";
import { Etcd3 } from "etcd3";
import { findProgram } from "../../src/system/find-program.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type Peer, SERVER_FOLDERS, startProcess, versionOf } from "./peer.ts";

const HOST = "127.0.0.1";

export const etcd: Peer = {
  system: "etcd",
  client: "etcd3: Election, campaign() and resign(); its lease is kept alive every TTL / 3",
  packages: ["etcd-server"],
  renewEveryMs: (ttlMs) => ttlMs / 3,
  missing: () =>
    findProgram("etcd", SERVER_FOLDERS) === null ? "no program etcd (Debian: etcd-server)" : undefined,

  async startServer(dir, signal) {
    const command = findProgram("etcd", SERVER_FOLDERS) ?? "etcd";
    const url = `http://${HOST}:${await freePort(HOST)}`;
    const peerUrl = `http://${HOST}:${await freePort(HOST)}`;
    const args = [
      ...["--name", "peer", "--data-dir", join(dir, "data"), "--log-level", "error"],
      ...["--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `peer=${peerUrl}`],
    ];
    const ready = async (): Promise<boolean> => {
      const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) });
      return /"health":\s*"?true/.test(await answer.text());
    };
    const stop = await startProcess({ command, args, ready }, signal);
    return { url, version: versionOf(command, "--version"), stop };
  },

  async campaign({ url, id, ttlMs, onBecome, onError }) {
    const client = new Etcd3({ hosts: url });
    const campaign = client.election("leader", ttlMs / 1_000).campaign(id);
    campaign.on("elected", onBecome);
    campaign.on("error", onError);
    await campaign.getCampaignKey();
    return {
      async leave() {
        await campaign.resign();
        client.close();
      },
    };
  },
};
