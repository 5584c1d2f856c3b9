/** Checks leader election with real daemons: step-down, promotion, crash, stop. Uses the server at NATS_URL if set. */
import { cli, type Daemon, mainIfStarted, place, type Script, status, Validation } from "./support.ts";

export const validateElection: Script = async (say) => {
  const v = new Validation("election", say);
  try {
    await using nats = await place(say);
    await play(v, nats.url);
  } finally {
    await v.close();
  }
  return v.results;
};

async function play(v: Validation, url: string): Promise<void> {
  const daemons = [v.daemon("node-1", url)];
  let seen: Record<string, unknown> = {};
  const readStatus = async (daemon: Daemon | undefined): Promise<Record<string, unknown>> => {
    if (daemon === undefined) throw new Error("no such daemon");
    seen = await status(daemon);
    return seen;
  };
  const show = (): unknown => seen;
  const leads = (nodeId: string) => async (): Promise<boolean> =>
    (await readStatus(daemons[0]))["leader"] === nodeId;

  await v.check("node-1 is the leader", leads("node-1"), show);
  for (const nodeId of ["node-2", "node-3"]) {
    const daemon = v.daemon(nodeId, url);
    daemons.push(daemon);
    await v.check(
      `${nodeId} is passive`,
      async () => {
        const { role, daemon: running } = await readStatus(daemon);
        return role === "PASSIVE" && running === "running";
      },
      show,
    );
    await v.check(
      `${nodeId} sees node-1 as the leader`,
      async () => (await readStatus(daemon))["leader"] === "node-1",
      show,
    );
  }

  let epoch = 0;
  const next = async (
    what: string,
    holds: (leader: string) => boolean,
    from: Daemon | undefined,
  ): Promise<string> => {
    let leader = "";
    await v.check(
      what,
      async () => {
        const found = await readStatus(from);
        leader = String(found["leader"]);
        return leader !== "" && holds(leader) && Number(found["epoch"]) > epoch;
      },
      show,
    );
    epoch = Number(seen["epoch"]);
    return leader;
  };
  const [first, second, third] = daemons;
  await v.check(
    "demote steps node-1 down",
    async () => (await cli("demote", "--config", first?.config ?? "")).code === 0,
  );
  await next("another node leads, with a larger epoch", (leader) => leader !== "node-1", second);
  await v.check(
    "promote hands over to node-1",
    async () => (await cli("promote", "--config", first?.config ?? "")).code === 0,
  );
  await next("node-1 leads again, with a larger epoch", (leader) => leader === "node-1", second);
  await v.check("exactly one node leads", async () => {
    const { stdout } = await cli("nodes", "--config", third?.config ?? "", "--json");
    const { nodes } = JSON.parse(stdout) as { readonly nodes: readonly { readonly leads: boolean }[] };
    return nodes.length === 3 && nodes.filter((node) => node.leads).length === 1;
  });
  first?.kill("SIGKILL");
  const successor = await next("killed, node-1 is replaced", (leader) => leader !== "node-1", second);
  const stopped = daemons.find(({ nodeId }) => nodeId === successor);
  stopped?.kill("SIGTERM");
  await v.check("the successor exits 0 on SIGTERM", async () => (await stopped?.exited) === 0);
  const last = [second, third].find((daemon) => daemon !== stopped);
  await next("the last daemon leads", (leader) => leader === last?.nodeId, last);
  await v.check("the history shows terms with increasing epochs", async () => {
    const { stdout } = await cli("history", "--config", last?.config ?? "", "--json");
    const { terms } = JSON.parse(stdout) as { readonly terms: readonly { readonly epoch: number }[] };
    const epochs = terms.map((term) => term.epoch);
    return epochs.length >= 5 && epochs.every((one, index) => index === 0 || one > (epochs[index - 1] ?? 0));
  });
}

await mainIfStarted(import.meta.url, validateElection);
