/** What the server of a holder is asked about its connection, and what its answers are worth. */
import { describe, expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { deferred, waitFor } from "../../scripts/shared/wait.ts";
import type { HolderAnswer, OwnConnection, SessionBinding } from "../../src/election/types.ts";
import { beatSubject } from "../../src/nats/names.ts";
import { presenceName } from "../../src/nats/presence/confirmation.ts";
import { GLOBAL_ACCOUNT, tagOf } from "../../src/nats/presence/connz-answer.ts";
import { Inquiries } from "../../src/nats/presence/inquiries.ts";
import type { NatsSession } from "../../src/nats/presence/session.ts";
import { systemRandom } from "../../src/runtime/system-clock.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { link, sessionOn } from "../support/nats/store-and-session.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const ASKED = { timeoutMs: 2_000, closedIsEnough: false } as const;
const NAMED = tagOf("A");
const ACCOUNTS = `accounts {
  A { jetstream: enabled, users: [{ user: a, password: p }] }
  B { jetstream: enabled, users: [{ user: b, password: p }] } }`;

/** As the record of a holder on this connection would name it. */
function promising({ serverId, clientId }: OwnConnection, account: string, ms = 1_000): SessionBinding {
  return { serverId, clientId, silence: { ms, account } };
}

function ownOf({ binding }: NatsSession): OwnConnection {
  if (binding === null) throw new Error("no binding");
  return binding;
}

async function countOf(session: NatsSession, binding: SessionBinding): Promise<number> {
  const answer = await session.inquire(binding, ASKED);
  if (answer.kind !== "open") throw new Error(`answered ${answer.kind}`);
  return answer.inMsgs;
}

describe.each([
  [PINNED_NATS_VERSION, "a named account", { config: ACCOUNTS }, { user: "a", pass: "p" }, NAMED],
  [PINNED_NATS_VERSION, "$G", {}, {}, tagOf(GLOBAL_ACCOUNT)],
  [OLDEST_NATS_VERSION, "a named account", { config: ACCOUNTS }, { user: "a", pass: "p" }, NAMED],
  [OLDEST_NATS_VERSION, "$G", {}, {}, tagOf(GLOBAL_ACCOUNT)],
] as const)("on nats-server %s in %s", (version, _, options, login, account) => {
  const server = useNatsServer({ version, ...options });

  test("an open connection is answered with the number of messages that its server has counted", async () => {
    const holder = await link(server, login);
    const holding = sessionOn(holder).session;
    const { session } = sessionOn(await link(server, login));
    const binding = promising(ownOf(holding), account);
    await holder.connection.flush();
    const before = await countOf(session, binding);
    expect(await countOf(session, binding)).toBe(before);
    holder.connection.publish("x");
    holder.connection.publish("x");
    // Read in a later buffer than the two, so they are counted by then.
    await holder.connection.flush();
    await holder.connection.flush();
    expect(await countOf(session, binding)).toBe(before + 2);
    await holder.connection.close();
    await waitFor(async () => (await session.inquire(binding, ASKED)).kind === "closed");
  });

  test("the beats of a holder raise the count, until it is frozen; killed, it is closed", async () => {
    const child = spawnChild<{ binding?: OwnConnection; proven?: true }>(
      "test/support/nats/children/beating-holder.ts",
      { args: [server.url, "20", ...Object.values(login)] },
    );
    atEnd(() => child[Symbol.asyncDispose]());
    const { binding: own } = await child.next((line) => line.binding !== undefined);
    if (own === undefined) throw new Error("no binding");
    expect(own.account).toBe(account);
    const { session } = sessionOn(await link(server, login));
    const binding = promising(own, account);
    const first = await countOf(session, binding);
    await child.next((line) => line.proven === true);
    await waitFor(async () => (await countOf(session, binding)) > first + 1);
    child.kill("SIGSTOP");
    // What it had sent is counted once the count does not rise from one question to the next.
    let before = await countOf(session, binding);
    const stands = async (): Promise<boolean> => {
      const now = await countOf(session, binding);
      const isEqual = now === before;
      before = now;
      return isEqual;
    };
    await waitFor(stands);
    expect([await stands(), await stands(), await stands()]).toEqual([true, true, true]);
    child.kill("SIGKILL");
    await waitFor(async () => (await session.inquire(binding, ASKED)).kind === "closed");
  });

  test("without a promise, or in another account, the holder is not asked about", async () => {
    const { session } = sessionOn(await link(server, login));
    const { serverId, clientId } = ownOf(session);
    const answer = async (binding: SessionBinding): Promise<string> =>
      (await session.inquire(binding, ASKED)).kind;
    expect(await answer({ serverId, clientId })).toBe("none");
    expect(await answer(promising(ownOf(session), tagOf("other")))).toBe("none");
    const presence = `S.${presenceName(account, "1", 1)}`;
    const both = { ...promising(ownOf(session), account), presence };
    expect(await answer(both)).toBe("open");
    expect(await answer({ serverId, clientId, presence })).toBe("open");
    const contrary = `S.${presenceName(tagOf("other"), "1", 1)}`;
    expect(await answer({ ...both, presence: contrary })).toBe("none");
  });
});

describe("on nats-server", () => {
  const server = useNatsServer({ config: ACCOUNTS });
  const a = { user: "a", pass: "p" };

  test("a connection of another account is not answered for", async () => {
    const holder = ownOf(sessionOn(await link(server, a)).session);
    const { session } = sessionOn(await link(server, { user: "b", pass: "p" }));
    for (const account of [NAMED, tagOf("B")]) {
      const answer = await session.inquire(promising(holder, account), { ...ASKED, timeoutMs: 100 });
      expect(answer).toEqual({ kind: "none" });
    }
  });

  test("a beat that is heard before the answer is a veto; after it a closed connection is asked about again", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const holder = await link(server, a);
    const own = ownOf(sessionOn(holder).session);
    const binding = promising(own, NAMED);
    const nats = await link(proxy, a);
    const { session } = sessionOn(nats);
    session.watchHolder(binding);
    await countOf(session, binding); // the subscription has arrived, and the own account is known
    const other = await link(server, a);
    /** A beat overtakes the answer with this text on its way to the follower. */
    const overtaken = async (text: string): Promise<HolderAnswer> => {
      const taken = proxy.takeNextToClient((frame) => frame.verb === "MSG" && frame.text.includes(text));
      const answer = session.inquire(binding, ASKED);
      const { release } = await taken;
      other.connection.publish(beatSubject(own), systemRandom.id());
      await other.connection.flush();
      await nats.connection.flush();
      expect(release()).toBe(true);
      return answer;
    };
    expect(await overtaken('"in_msgs"')).toEqual({ kind: "none" });
    expect((await session.inquire(binding, ASKED)).kind).toBe("open");
    await holder.connection.close();
    const replies = new Set<string>();
    proxy.filterToClient(({ subject, text }) => {
      if (text.includes('"stop"')) replies.add(subject);
      return true;
    });
    await waitFor(async () => (await session.inquire(binding, ASKED)).kind === "closed");
    // The server answers in order: whatever comes from now on answers this inquiry or a later one.
    expect((await session.inquire(binding, ASKED)).kind).toBe("closed");
    const earlier = replies.size;
    expect((await session.inquire(binding, ASKED)).kind).toBe("closed");
    expect(replies.size).toBe(earlier + 1);
    // Its last beat was under way for longer than the answer. The next question has a reply subject of its own.
    expect((await overtaken('"stop"')).kind).toBe("closed");
    expect(replies.size).toBe(earlier + 3);
  });
});

describe("elections on one connection", () => {
  const BINDING: SessionBinding = { serverId: "S", clientId: 7, silence: { ms: 1_000, account: NAMED } };

  /** Inquiries whose answers the test gives. */
  function scene() {
    const questions: ((answer: HolderAnswer) => void)[] = [];
    const inquiries = new Inquiries(() => {
      const { promise, resolve } = deferred<HolderAnswer>();
      questions.push(resolve);
      return promise;
    });
    const ask = (closedIsEnough: boolean): Promise<HolderAnswer> =>
      inquiries.inquire(BINDING, { timeoutMs: 1_000, closedIsEnough });
    const answer = (index: number, given: HolderAnswer): void => questions[index]?.(given);
    return { questions, ask, answer };
  }
  const open = (inMsgs: number): HolderAnswer => ({ kind: "open", inMsgs });
  const closed: HolderAnswer = { kind: "closed" };

  test("share an inquiry that is under way if the end of the connection is enough", async () => {
    const { questions, ask, answer } = scene();
    const all = [ask(true), ask(true), ask(true)];
    answer(0, closed);
    expect(await Promise.all(all)).toEqual([closed, closed, closed]);
    expect(questions).toHaveLength(1);
  });

  test("take part in no inquiry that was begun before their own, and share the one after it", async () => {
    const { questions, ask, answer } = scene();
    const first = ask(false);
    const later = [ask(false), ask(true), ask(false)];
    expect(questions).toHaveLength(1);
    answer(0, open(7));
    expect(await first).toEqual(open(7));
    await waitFor(() => questions.length === 2);
    const last = ask(false);
    answer(1, open(8));
    expect(await Promise.all(later)).toEqual([open(8), open(8), open(8)]);
    await waitFor(() => questions.length === 3);
    answer(2, open(9));
    expect(await last).toEqual(open(9));
    expect(questions).toHaveLength(3);
  });

  test("ask once more for those to whom an earlier 'closed' is not enough", async () => {
    const { questions, ask, answer } = scene();
    const first = ask(false);
    const [enough, notEnough] = [ask(true), ask(false)];
    answer(0, closed);
    expect(await Promise.all([first, enough])).toEqual([closed, closed]);
    await waitFor(() => questions.length === 2);
    answer(1, open(3));
    expect(await notEnough).toEqual(open(3));
  });

  test("a question that begins while the next one is due is shared, not doubled", async () => {
    const { questions, ask, answer } = scene();
    const first = ask(false);
    const second = ask(false);
    const third = first.then(() => ask(false));
    answer(0, open(1));
    await waitFor(() => questions.length === 2);
    answer(1, open(2));
    expect(await second).toEqual(open(2));
    if (questions.length > 2) answer(2, open(2));
    expect(await third).toEqual(open(2));
    expect(questions.length).toBeLessThanOrEqual(3);
  });
});
