/** Step-downs: one to a named successor, then twenty behind HAProxy. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { stepdownSubject } from "../../../src/nats/names.ts";
import { Haproxy, type Instance } from "../../shared/haproxy.ts";
import { cli } from "../../validate/support.ts";
import type { Checks } from "../checks.ts";
import { recordedTerms } from "../history.ts";
import { CLUSTER, type Stage } from "../stage.ts";
import { metricOf } from "./metrics.ts";
import { settled } from "./nodes.ts";

const FAILOVERS = 20;
const CLIENT_PAUSE_MS = 10;

export async function playHandover(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the leadership is handed over to a named node");
  const { leader, others, epoch } = await settled(stage, checks);
  const [next] = others;
  if (next === undefined) throw new Error("there is no other node");
  const read = async (): Promise<readonly number[]> => [
    await metricOf(stage, "terms_total", leader.id, { labels: 'reason="released"' }),
    await metricOf(stage, "drain_duration_seconds", leader.id, { suffix: "_count" }),
    await metricOf(stage, "drain_timeouts_total", leader.id),
  ];
  const before = await read();
  const servers = stage.servers.urls.join(",");
  await checks.that(`transfer to ${next.id} exits with 0`, async () => {
    const { code, stderr } = await cli("transfer", next.id, "--cluster-id", CLUSTER, "--nats-url", servers);
    return code === 0 || stderr;
  });
  await checks.until(`${next.id} leads, with the next epoch`, () => {
    const now = stage.watch.leader;
    return (now?.node === next.id && now.epoch === epoch + 1) || { now, epoch };
  });
  await checks.until(
    "the old leader has counted one term that was released, one drain, and no timeout",
    async () => {
      const grown = (await read()).map((now, index) => now - (before[index] ?? 0));
      return grown.join(" ") === "1 1 0" || grown;
    },
  );
}

export async function playFailovers(stage: Stage, checks: Checks): Promise<void> {
  checks.scene(`HAProxy asks /leader, through ${FAILOVERS} failovers`);
  await settled(stage, checks);
  const connection = await connect({ servers: stage.servers.urls, ignoreClusterUpdates: true });
  const applications: Application[] = [];
  for (const { id, door, port } of stage.nodes) {
    applications.push({ ...(await application(id, `${door}/leader`)), name: id, doorPort: port });
  }
  const haproxy = await Haproxy.start({ instances: applications, checkEveryMs: 50 });
  const client = new Client(haproxy.url);
  try {
    const reached = await failOver(stage, connection, client);
    await checks.that(
      `requests reached the leader after each of ${FAILOVERS} failovers`,
      () => reached.length === FAILOVERS || reached,
    );
    await checks.that("a request is never answered by an earlier leader than the one before it", () => {
      const back = client.answers.filter(
        ({ epoch }, index) => epoch < (client.answers[index - 1]?.epoch ?? 0),
      );
      return back.length === 0 || back;
    });
    await checks.that("every answer is of the node that the history names for its epoch", async () => {
      const terms = await recordedTerms(stage);
      const wrong = client.answers.filter(({ node, epoch }) => terms.get(epoch) !== node);
      const seen = new Set(client.answers.map(({ epoch }) => epoch)).size;
      return (wrong.length === 0 && seen > FAILOVERS) || { wrong: wrong.slice(0, 5), seen };
    });
    await checks.until("NatsLeaderFlapping fires", () =>
      stage.fires("NatsLeaderFlapping", { cluster: CLUSTER }),
    );
  } finally {
    await client.close();
    await haproxy.stop();
    for (const { server } of applications) {
      server.closeAllConnections();
      server.close();
    }
    await connection.close();
  }
}

/** Asks each leader to step down once it has answered through HAProxy. Resolves with the leaders that were reached. */
async function failOver(stage: Stage, connection: NatsConnection, client: Client): Promise<string[]> {
  const reached: string[] = [];
  const giveUpAt = performance.now() + 180_000;
  let last = client.newest?.epoch ?? 0;
  while (reached.length < FAILOVERS && performance.now() < giveUpAt) {
    const { newest } = client;
    const { leader } = stage.watch;
    if (newest === null || leader === null || newest.epoch <= last || newest.epoch !== leader.epoch) {
      await pause(10);
      continue;
    }
    last = newest.epoch;
    // A leader may not know a successor yet: then it is asked again.
    const asked = await connection
      .request(stepdownSubject(CLUSTER, newest.node), "", { timeout: 15_000 })
      .catch(() => null);
    if (asked === null) last -= 1;
    else reached.push(newest.node);
  }
  return reached;
}

interface Application extends Instance {
  readonly server: Server;
}

/** Answers with its node and epoch if its own daemon says at that moment that it leads. */
async function application(id: string, leaderUrl: string): Promise<Pick<Application, "server" | "port">> {
  const server = createServer((_request, response) => {
    void epochOf(leaderUrl).then((epoch) => {
      response.writeHead(epoch === null ? 409 : 200).end(epoch === null ? "" : `${id} ${epoch}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

async function epochOf(url: string): Promise<number | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    const { epoch } = (await response.json()) as { readonly epoch?: number };
    return response.status === 200 && epoch !== undefined ? epoch : null;
  } catch {
    return null;
  }
}

interface Answer {
  readonly node: string;
  readonly epoch: number;
}

/** One request after the other. */
class Client {
  readonly answers: Answer[] = [];
  readonly #ending = new AbortController();
  readonly #loop: Promise<void>;

  constructor(url: string) {
    this.#loop = this.#ask(url);
  }

  get newest(): Answer | null {
    return this.answers.at(-1) ?? null;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.#loop;
  }

  async #ask(url: string): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) });
        const [node = "", epoch = ""] = (await response.text()).split(" ");
        if (response.status === 200) this.answers.push({ node, epoch: Number(epoch) });
      } catch {
        // No leader at this moment, or the connection was closed on the change.
      }
      await pause(CLIENT_PAUSE_MS, undefined, { signal }).catch(() => {});
    }
  }
}
