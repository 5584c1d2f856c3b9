import type { ConnectedServer } from "../application/types.ts";
import { type GroupFacts, type GroupSource, register } from "../channels/source.ts";
import { resolveGroupOptions } from "../config/group.ts";
import type { GroupOptions, ResolvedGroupOptions } from "../config/group-options.ts";
import { ClusterError } from "../errors.ts";
import { type BoundLogger, createLogger } from "../log/logger.ts";
import { checkHookNames } from "../node/hooks.ts";
import { Lifecycle } from "../runtime/application/lifecycle.ts";
import { EventStreams } from "../runtime/event-streams.ts";
import { noLeaseFacts } from "../runtime/lease-watch.ts";
import type { Clock, Random } from "../runtime/ports.ts";
import { SystemClock, systemClock, systemRandom } from "../runtime/system-clock.ts";
import { checkOptions, keepAlive, kindOf, limitOf, type WaitOptions } from "../runtime/waiting.ts";
import { GROUP_HOOK_NAMES } from "./application/types.ts";
import type { GroupBackend } from "./backend.ts";
import type { DrainResult, GroupStopResult } from "./calls.ts";
import type { MemberView } from "./core/events.ts";
import { ownerOf } from "./core/outlook.ts";
import type { GroupEventBody, GroupMemberEvent } from "./events.ts";
import { groupDriver } from "./group-driver.ts";
import { leaseConfig } from "./group-watch.ts";
import type { GroupHooks } from "./hooks.ts";
import { type GroupPlan, type MakeDriver, Membership } from "./membership.ts";
import { natsGroupBackend } from "./nats-group-backend.ts";
import type { MemberReport } from "./report.ts";
import { openResources } from "./resources.ts";
import type { GroupRunner, ResourceWork } from "./runner.ts";
import type { ResourceTerm } from "./term.ts";

/** What a member runs on: by default NATS and the system's clocks. */
export interface GroupEnvironment {
  readonly backend: GroupBackend;
  readonly clock: Clock;
  readonly random: Random;
  readonly makeDriver: MakeDriver;
}

const NOTHING_TO_STOP: GroupStopResult = {
  reason: "requested",
  drain: "complete",
  unfinished: [],
  pending: false,
};

function notRunning(options: ResolvedGroupOptions): GroupFacts {
  return { ...noLeaseFacts(leaseConfig(options)), owned: 0, unowned: 0 };
}

/**
 * One member of a group: owns a share of the group's resources, each of them alone.
 *
 * The constructor only checks its options; `start()` connects. After `stop()` a member can be started again; each start is a new
 * incarnation.
 *
 * @example
 * ```ts
 * await using group = new Group({ groupId: "orders", servers: "nats://localhost:4222", resources: 64 });
 * await group.start();
 * await group.runOwned(async (term, { signal }) => {
 *   while (!signal.aborted) await work(term.resource, term.epoch);
 * });
 * ```
 */
export class Group implements AsyncDisposable {
  readonly #options: ResolvedGroupOptions;
  readonly #hooks: GroupHooks;
  readonly #environment: GroupEnvironment;
  readonly #logger: BoundLogger;
  readonly #streams: EventStreams<GroupEventBody>;
  readonly #lifecycle: Lifecycle<Membership>;
  readonly #source: GroupSource;
  /** Hooks and work of the last incarnation may still run. */
  #earlier: GroupRunner | null = null;
  /** The largest number that an incarnation has known: a bucket that is created again continues above it. */
  #above = 0;

  /**
   * @param options - See {@link GroupOptions}. Checked here; no I/O is done.
   * @param hooks - Called on changes of what this member owns, of the members and of the connection. See {@link GroupHooks}.
   * @param environment - Replaces NATS and the system's clocks, for tests.
   * @throws ClusterError `INVALID_CONFIG`; the message names every invalid option with its value and rule, or every hook that is
   * misspelt or no function.
   */
  constructor(options: GroupOptions, hooks: GroupHooks = {}, environment?: GroupEnvironment) {
    this.#options = resolveGroupOptions(options);
    checkHookNames(hooks, GROUP_HOOK_NAMES);
    this.#hooks = hooks;
    this.#lifecycle = new Lifecycle("member", this.#options.memberId);
    this.#environment = environment ?? {
      backend: natsGroupBackend(this.#options),
      clock: systemClock(),
      random: systemRandom,
      makeDriver: groupDriver,
    };
    this.#streams = new EventStreams<GroupEventBody>(() => this.#environment.clock.now().wall);
    this.#logger = createLogger({ level: this.#options.logLevel, logger: this.#options.logger });
    const { groupId, memberId } = this.#options;
    const read = (): GroupFacts => this.#lifecycle.current?.facts() ?? notRunning(this.#options);
    this.#source = register<GroupSource>(this, { kind: "group", groupId, memberId, read });
  }

  /** The option `groupId`. */
  get groupId(): string {
    return this.#options.groupId;
  }

  /** The option `memberId`, or the id that was drawn in its place. */
  get memberId(): string {
    return this.#options.memberId;
  }

  /** Is the connection to NATS up? */
  get connected(): boolean {
    return this.#lifecycle.current?.connected ?? false;
  }

  /** The NATS server that the connection is on; `null` while disconnected. */
  get server(): ConnectedServer | null {
    return this.#lifecycle.current?.server ?? null;
  }

  /**
   * The running terms, by resource. A snapshot: made at every call. A term that is being given up is not in it. To decide whether to act, ask
   * `term.held`.
   */
  get owned(): ReadonlyMap<string, ResourceTerm> {
    const owned = new Map<string, ResourceTerm>();
    const membership = this.#lifecycle.current;
    // A deadline that has passed ends the terms, even if no code has run since.
    if (membership === null || membership.driver.leaseRemainingMs() === 0) return owned;
    for (const term of membership.application.running())
      if (membership.driver.leaseRemainingMs(term.resource) > 0) owned.set(term.resource, term);
    return owned;
  }

  /**
   * The running term of a resource; `null` when this member does not own it, or gives it up.
   *
   * @throws ClusterError `INVALID_CONFIG` for anything but a text. Partitions have texts as names: "0" to "n - 1".
   */
  term(resource: string): ResourceTerm | null {
    checkName("term(resource)", resource);
    const membership = this.#lifecycle.current;
    if (membership === null || membership.driver.leaseRemainingMs(resource) === 0) return null;
    return membership.application.runningTerm(resource);
  }

  /**
   * The member that owns a resource, and the epoch of its term, as this member sees it; `null`: none does, or this member has heard nothing of
   * its session for longer than the lease. Compares clocks at every call. For display only: to decide whether to act, ask
   * `term(resource)?.held`.
   *
   * @throws ClusterError `INVALID_CONFIG` for anything but a text.
   */
  owner(resource: string): { readonly memberId: string; readonly epoch: number } | null {
    checkName("owner(resource)", resource);
    const membership = this.#lifecycle.current;
    return membership === null
      ? null
      : ownerOf(membership.driver.state, resource, this.#environment.clock.now());
  }

  /** The members whose sessions are not over, in order of their ids, as this member sees them. Empty before `start()`. */
  members(): readonly MemberView[] {
    return this.#lifecycle.current?.application.members ?? [];
  }

  /**
   * The state of this member, for health checks and displays; `null` before `start()` has connected and after the member has stopped. Compares
   * clocks at every call.
   */
  status(): MemberReport | null {
    return this.#lifecycle.current?.report() ?? null;
  }

  /**
   * Who owns and who is to own each resource on this member's list, as this member sees it. A snapshot, for display: made at every call.
   *
   * @throws ClusterError `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`.
   */
  plan(): GroupPlan {
    return this.#lifecycle.require().plan();
  }

  /**
   * Connects, opens or creates the bucket, and begins to take part. Resolves when the member takes part, whatever it owns, or when
   * `stop()` has ended the start. A start that rejects leaves nothing open.
   *
   * @param options - `signal` aborts the start.
   * @throws ClusterError `ALREADY_STARTED`; `NO_CONNECTION`, `AUTHORIZATION`, `JETSTREAM_UNAVAILABLE`, `SERVER_TOO_OLD`,
   * `BUCKET_INCOMPATIBLE`, `INSUFFICIENT_RESOURCES` or `STORE_UNAVAILABLE` when NATS cannot be used; `INVALID_CONFIG` when the source of
   * resources fails, or yields no list that can be used; `ABORTED` by the signal.
   */
  async start(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#lifecycle.start(
      options,
      (signal) => this.#start(signal),
      () => this.#streams.close(),
    );
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { backend, clock, random, makeDriver } = this.#environment;
    const { groupId, memberId } = this.#options;
    const id = random.id();
    const logger = this.#logger.child({ group: groupId, member: memberId, incarnation: id });
    const source = await openResources(this.#options.resources, signal);
    try {
      const attachment = await backend.attach({
        groupId,
        incarnation: id,
        signal,
        above: this.#above,
        silenceMs: this.#options.core.silenceMs,
        warn: (code, message, error) => {
          logger.warn({ event: "warning", code, err: error }, message);
          this.#streams.push({ type: "warning", code, message, error: error ?? null });
        },
      });
      if (signal.aborted) {
        await attachment.close();
        throw this.#lifecycle.startAborted(signal);
      }
      const membership = new Membership({
        id,
        options: this.#options,
        hooks: this.#hooks,
        resources: source.first,
        laterResources: source.later,
        attachment,
        clock,
        keepAlive: clock instanceof SystemClock ? keepAlive : () => () => {},
        logger,
        emit: (event) => this.#streams.push(event),
        earlier: this.#earlier,
        makeDriver,
        source: this.#source,
      });
      this.#earlier = null;
      this.#lifecycle.began(membership, () => {
        source.close();
        this.#above = Math.max(this.#above, membership.driver.state.above);
        this.#earlier = membership.application.isIdle ? null : membership.application;
        this.#streams.close();
      });
      membership.start();
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /**
   * Stops the work, releases everything and closes the connection (unless it was passed in). The order is: the signals of all terms abort;
   * `onDisown` and work end; the resources are released and the session ends; the next owners begin. All hooks and work together have
   * `drainTimeoutMs` to end. Idempotent: further calls join the stop, and a member that is not running is left alone.
   *
   * Awaited by a hook or work, which the stop has to wait for, it resolves before the member has stopped (`pending: true`), as `Node.stop()`
   * does.
   *
   * @param options - `restarting`: the member will be back, and its resources are kept for it if the members have `rejoinGraceMs`. An
   * abort of `signal`, or `timeoutMs`, ends the wait for hooks and work, not the stop. What is no object is ignored: a listener of
   * SIGTERM gets the signal's name.
   * @returns What happened: whether the work ended in time, and what has not returned.
   */
  async stop(options: { readonly restarting?: boolean } & WaitOptions = {}): Promise<GroupStopResult> {
    const limits = typeof options === "object" && options !== null ? options : {};
    limitOf(limits);
    return this.#lifecycle.stop(NOTHING_TO_STOP, ({ calls }) =>
      calls.stop(limits.restarting === true, limits),
    );
  }

  /** The same as `stop()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /**
   * Takes no resource from now on, and gives up all it owns, `maxMoves` at a time, until `rejoin()` or the next start. The session goes
   * on. Resolves when it owns nothing and all work has ended.
   *
   * Awaited by a hook or work it resolves as early as `stop()` does (`drain: "pending"`), and the rest follows when that has returned.
   *
   * @param options - End the wait, not the drain.
   * @throws ClusterError `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`; `ABORTED`, also by `rejoin()`, or `TIMEOUT`.
   */
  async drain(options: WaitOptions = {}): Promise<DrainResult> {
    limitOf(options);
    return this.#lifecycle.require().calls.drain(`member "${this.memberId}" to own nothing`, options);
  }

  /**
   * Takes resources again, after `drain()` or the warning `REFUSES_TOO_MANY`.
   *
   * @throws ClusterError `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`.
   */
  async rejoin(): Promise<void> {
    await this.#lifecycle.require().calls.rejoin();
  }

  /**
   * Asks for a resource to be moved to another member. Only the coordinator (`plan().coordinator`) can do this; it plans the resource for
   * that member, whose balance then makes another one move back.
   *
   * @throws ClusterError `INVALID_CONFIG`; `NOT_STARTED`, `STOPPED`, `NO_CONNECTION`; `HANDOVER_REFUSED` when this member is not the coordinator, or the other one
   * cannot take the resource.
   */
  async move(resource: string, to: string): Promise<void> {
    checkName("move(resource, to)", resource);
    checkName("move(resource, to)", to, "to");
    this.#lifecycle.require().move(resource, to);
  }

  /**
   * Resolves with the term as soon as this member owns the resource: at once if it already does, and after a suspension when that has
   * ended.
   *
   * @param options - End the wait.
   * @throws ClusterError `INVALID_CONFIG`; `NOT_STARTED`; `STOPPED` when the member stops first, or has stopped; `NO_CONNECTION`; `ABORTED` or `TIMEOUT`.
   */
  async untilOwned(resource: string, options: WaitOptions = {}): Promise<ResourceTerm> {
    checkName("untilOwned(resource)", resource);
    limitOf(options);
    return this.#lifecycle.require().calls.untilOwned(resource, options);
  }

  /**
   * Runs `work` in every term of every resource, after `onOwn`. Resolves when the member has stopped or `signal` has aborted, and all
   * runs have ended; at once after `stop()`. Runs of one resource never overlap; those of different resources do. Work that returns early is not
   * run again in the same term. Work that throws ends its own term: the resource is given up and refused for a while, and the work of the other
   * resources goes on.
   *
   * Called in `onOwn` or in work that has not ended, it runs `work` in that term only, at once, and resolves when the run has ended. In
   * `onDisown`, and once that term has ended, it runs nothing, and resolves at once.
   *
   * @param work - Must end when `run.signal` aborts: the resource is kept until then, whichever member is to own it. `run.signal` aborts with
   * `term.signal`, and with `options.signal`.
   * @param options - An abort of `signal` ends the registration.
   * @throws ClusterError `INVALID_CONFIG`; `NOT_STARTED`; `NO_CONNECTION`; `NOT_LEADER` in a hook that belongs to no term; `HOOK_FAILED`
   * when `work` threw that was registered in a term; `STOPPED` when the member has stopped and a run has not ended.
   * @example
   * ```ts
   * await group.runOwned(async (term, { signal }) => {
   *   while (!signal.aborted) {
   *     await processNext(term.resource, term.epoch);
   *     await sleep(1_000, undefined, { signal });
   *   }
   * });
   * ```
   */
  async runOwned(
    work: ResourceWork,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkOptions(options);
    if (typeof work !== "function")
      throw new ClusterError(
        "INVALID_CONFIG",
        `runOwned(work): work must be a function, not ${kindOf(work)}`,
      );
    if (this.#lifecycle.current === null && this.#lifecycle.stopRequested) return;
    await this.#lifecycle.require().calls.runOwned(work, options.signal);
  }

  /**
   * The events of this member from now on. The iterator ends when the member has stopped, or a start has failed. Each call returns an
   * independent reader with a buffer of 1024 events; when it is full, the oldest are discarded (`overflow`). May be called before
   * `start()`.
   *
   * @param options - An abort of `signal` ends the iterator.
   */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<GroupMemberEvent> {
    checkOptions(options);
    return this.#streams.open(options.signal);
  }
}

/** A partition is easily named by its number, which no resource is: the call would never settle. */
function checkName(call: string, value: unknown, name = "resource"): void {
  if (typeof value === "string" && value !== "") return;
  const what = value === "" ? "empty" : kindOf(value);
  const hint =
    typeof value === "number" && name === "resource" ? `; the names of partitions are texts: "${value}"` : "";
  const text = `${call}: ${name} must be a text that is not empty, not ${what}${hint}`;
  throw new ClusterError("INVALID_CONFIG", text);
}
