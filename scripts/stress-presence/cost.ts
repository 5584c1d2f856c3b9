/**
 * What questions about connections and beats cost a server: CPU time of its process, read from /proc, so that other load on the
 * machine does not count. Linux only.
 */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { CONNECTIONS_PING } from "../../src/nats/names.ts";
import { ConnzState, connzQuestion } from "../../src/nats/presence/connz-answer.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { RawClient } from "../calibrate/connz/raw-client.ts";
import { BEAT_EVERY_MS, type Mode, summaryOf } from "./support.ts";

const CONNECTIONS = [100, 1000, 10_000];
const QUESTIONS = 300;
const SESSIONS = [100, 1000];
const BEATS_MS = 10_000;
/** Connections that are opened at the same time. */
const AT_ONCE = 50;
/** Clock ticks of /proc are 10 ms on every Linux that Node supports. */
const TICK_MS = 10;
const CONFIG = `accounts { A { users: [{ user: a, password: p }] }, SYS { users: [{ user: s, password: p }] } }
system_account: SYS`;

/** CPU time that the server has used. */
function cpuMs({ pid }: NatsServer): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name of the program, in parentheses, may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function open(server: NatsServer, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < count) {
    const some = Math.min(AT_ONCE, count - clients.length);
    const login = { user: "a", pass: "p" };
    clients.push(...(await Promise.all(Array.from({ length: some }, () => RawClient.open(server, login)))));
  }
  return clients;
}

async function questions(server: NatsServer, clients: readonly RawClient[], state: 0 | 1) {
  const asker = await connect({ servers: server.url, user: "a", pass: "p", noAsyncTraces: true });
  const times: number[] = [];
  const before = cpuMs(server);
  for (let count = 0; count < QUESTIONS; count += 1) {
    const body = connzQuestion(clients[count % clients.length]?.clientId ?? 0, state);
    const at = performance.now();
    await asker.request(CONNECTIONS_PING, body, { timeout: 30_000 });
    times.push(performance.now() - at);
  }
  const cpu = cpuMs(server) - before;
  await asker.close();
  return { connections: clients.length, cpuMsPerQuestion: cpu / QUESTIONS, answerMs: summaryOf(times) };
}

async function beats(server: NatsServer, count: number) {
  const clients = await open(server, count);
  const echoMs: number[] = [];
  const stop: NodeJS.Timeout[] = [];
  for (const [index, client] of clients.entries()) {
    const subject = `beat.${index}`;
    let sentAt: number | null = null;
    client.write(`SUB ${subject} 1\r\n`);
    client.onMessage = () => {
      if (sentAt !== null) echoMs.push(performance.now() - sentAt);
    };
    const send = (): void => {
      sentAt = performance.now();
      client.write(`PUB ${subject} 16\r\n0123456789abcdef\r\n`);
    };
    // Spread over the period, as the beats of independent processes are.
    stop.push(setTimeout(() => stop.push(setInterval(send, BEAT_EVERY_MS)), (BEAT_EVERY_MS * index) / count));
  }
  await pause(BEAT_EVERY_MS * 2);
  echoMs.length = 0;
  const [before, from] = [cpuMs(server), performance.now()];
  await pause(BEATS_MS);
  const cpu = cpuMs(server) - before;
  const cpuPercent = (cpu / (performance.now() - from)) * 100;
  for (const timer of stop) clearInterval(timer);
  for (const client of clients) client.close();
  return {
    sessions: count,
    beatsPerSecond: Math.round(echoMs.length / (BEATS_MS / 1000)),
    cpuPercent,
    cpuMicrosPerBeat: (cpu / echoMs.length) * 1000,
    echoMs: summaryOf(echoMs),
  };
}

export const runCost: Mode = async ({ server, progress }) => {
  await using own = await startNatsServer({ version: server.version, jetstream: false, config: CONFIG });
  const asked = [];
  const clients: RawClient[] = [];
  for (const count of CONNECTIONS) {
    clients.push(...(await open(own, count - clients.length)));
    for (const [list, state] of Object.entries(ConnzState)) {
      asked.push({ list, ...(await questions(own, clients, state)) });
      progress(JSON.stringify(asked.at(-1)));
    }
  }
  for (const client of clients) client.close();
  const beating = [];
  for (const count of SESSIONS) {
    beating.push(await beats(own, count));
    progress(JSON.stringify(beating.at(-1)));
  }
  return { questions: asked, beats: beating, violations: [] };
};
