import { type ConnectedServer, HOOK_NAMES, type Notice, type StopReason } from "../application/types.ts";
import { Emitter } from "../channels/emitter.ts";
import type { NodeFacts, NodeSource } from "../channels/source.ts";
import type { ResolvedOptions } from "../config/resolve.ts";
import { leaseSpanMs, renewIntervalMs } from "../election/lease.ts";
import { asError, ClusterError } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import { applicationTimes } from "../runtime/application/application-times.ts";
import { linkReports } from "../runtime/application/link-reports.ts";
import { serverFields, serverText } from "../runtime/application/server-text.ts";
import type { Attachment, NodeStatus, ServiceHandle } from "../runtime/backend.ts";
import { Driver } from "../runtime/driver.ts";
import type { Clock } from "../runtime/ports.ts";
import { deferred, type WaitOptions } from "../runtime/waiting.ts";
import { ApplicationCalls, type StepDownResult } from "./application-calls.ts";
import { ApplicationRunner } from "./application-runner.ts";
import type { EventBody } from "./events.ts";
import { givenHooks, type Hooks } from "./hooks.ts";
import { type Bounds, blockedText, logNotice } from "./log.ts";
import { leaseConfig, NodeWatch } from "./node-watch.ts";
import type { NodeReport } from "./report.ts";
import { checkSuccessor } from "./step-down.ts";
import type { Term } from "./term.ts";

export interface IncarnationOptions {
  /** Random id of this incarnation. */
  readonly id: string;
  readonly options: ResolvedOptions;
  readonly hooks: Hooks;
  readonly attachment: Attachment;
  readonly clock: Clock;
  readonly keepAlive: (limitMs: number) => () => void;
  readonly logger: EventLogger;
  readonly rememberedEpoch: number;
  readonly emit: (event: EventBody) => void;
  /** In whose name it publishes on the channels; `null` for a rehearsal. */
  readonly source: NodeSource | null;
  /** The application side of the last incarnation of this node. */
  readonly earlier: ApplicationRunner | null;
}

/** Any user of the account can pretend to be another process with this node id. */
const MAX_TWINS_REPORTED = 8;

/** A node from `start()` to `stop()`: the election, the application side, and the log lines and events of both. */
export class Incarnation {
  readonly driver: Driver;
  readonly application: ApplicationRunner;
  readonly calls: ApplicationCalls;
  readonly #watch: NodeWatch;
  readonly #o: IncarnationOptions;
  readonly #startedAtMono: number;
  readonly #stopped = deferred<StopReason>();
  /** Other processes with this node id that were reported: incarnations, `""` for one without. */
  readonly #twins = new Set<string>();
  #lastTwin: string | null = null;
  #service: ServiceHandle | null = null;
  #serving: Promise<ServiceHandle | null> = Promise.resolve(null);
  #unlisten: (() => void) | null = null;

  constructor(o: IncarnationOptions) {
    const { options, attachment, clock } = o;
    this.#o = o;
    this.#startedAtMono = clock.now().mono;
    this.#watch = new NodeWatch({
      incarnation: o.id,
      emitter: new Emitter(o.source, o.id),
      ...leaseConfig(options),
      session: attachment.session,
    });
    this.driver = new Driver({
      config: {
        ...options.election,
        incarnation: o.id,
        renewIntervalMs: renewIntervalMs(
          options.leaseTtlMs,
          options.heartbeatIntervalMs,
          attachment.bucket.replicas,
        ),
      },
      competes: !options.observer,
      clock,
      store: attachment.store,
      session: attachment.session,
      rememberedEpoch: o.rememberedEpoch,
      output: (output) => this.application.dispatch({ type: "election", output }),
      observe: (event, now, effects, before, after) => this.#watch.step(event, now, effects, before, after),
    });
    this.application = new ApplicationRunner({
      earlier: o.earlier,
      config: {
        ...applicationTimes(options.drainTimeoutMs, leaseSpanMs(options.leaseTtlMs)),
        hooks: givenHooks(o.hooks, HOOK_NAMES),
      },
      identity: { clusterId: options.clusterId, nodeId: options.nodeId, incarnation: o.id },
      hooks: o.hooks,
      clock,
      keepAlive: o.keepAlive,
      driver: this.driver,
      hookEnded: (call, failed, durationMs) => this.#watch.hook(call, failed, durationMs),
      notify: (notice, term) => this.#notify(notice, term),
      untilHeld: (epoch, options) => this.calls.untilHeld(epoch, options),
      close: () => this.#close(),
      defect: (during, error) =>
        o.logger.error(
          { event: "internal-error", during, err: asError(error) },
          "a step of the node failed; the node goes on",
        ),
    });
    this.calls = new ApplicationCalls(this.application, this.driver, clock);
  }

  get server(): ConnectedServer | null {
    return this.#o.attachment.session.linkFacts?.server ?? null;
  }

  get service(): ServiceHandle | null {
    return this.#service;
  }

  /** Resolves when the incarnation has ended and everything it opened is closed. */
  get stopped(): Promise<StopReason> {
    return this.#stopped.promise;
  }

  /** What the channels report of it. */
  facts(): NodeFacts {
    return { ...this.#watch.read(this.#o.clock.now()), isLeader: this.driver.isHeld() };
  }

  async start(): Promise<void> {
    const { attachment, logger, options } = this.#o;
    const { session } = attachment;
    const server = session.linkFacts?.server ?? null;
    const report = linkReports(session, (event) => this.application.dispatch(event));
    this.#unlisten = session.listen((event) =>
      event.type === "beat-proven" ? this.#watch.lease.beat() : report(event),
    );
    this.driver.start(attachment.bucket);
    this.#o.emit({ type: "started", server });
    logger.info(
      { event: "started", competes: !options.observer, ...serverFields(server) },
      `node started, connected to ${serverText(server)}`,
    );
    this.#serving = attachment.serve({
      status: () => this.status(),
      stepDown: async (to) => {
        const { epoch, leaseDeleted } = await this.stepDown(to, {});
        if (leaseDeleted === false) throw this.#notDeleted(epoch);
      },
      twin: (incarnation) => this.#onTwin(incarnation),
    });
    this.#service = await this.#serving;
  }

  status(): NodeStatus {
    const { options, attachment, clock } = this.#o;
    const { role, announced, candidacy } = this.driver.state;
    const { blocked } = this.application;
    const { leastMarginMs, suspensions, suspicions, beatRoundTripMs, server } = this.#watch.lease.read(
      clock.now(),
    );
    const held = this.driver.isHeld();
    const promisesSilence =
      "term" in role ? role.term.promises : attachment.session.binding?.account !== undefined;
    return {
      nodeId: options.nodeId,
      role: held || role.name === "draining" ? "PRIMARY" : "PASSIVE",
      leader: announced?.nodeId ?? "",
      epoch: announced?.epoch ?? 0,
      uptimeMs: Math.round(clock.now().mono - this.#startedAtMono),
      connected: attachment.session.connected,
      clusterId: options.clusterId,
      incarnation: this.#o.id,
      state: role.name,
      held,
      competes: candidacy.competes,
      presence: attachment.presence,
      crashDetection: options.crashDetection,
      silenceMs: promisesSilence ? options.silenceMs : 0,
      leaseTtlMs: options.election.leaseTtlMs,
      version: options.serviceVersion,
      ...(blocked === null ? {} : { blocked: blockedText(blocked) }),
      ...this.#standby(),
      ...(this.#lastTwin === null ? {} : { duplicate: this.#lastTwin }),
      ...(leastMarginMs === null ? {} : { leastMarginMs }),
      suspensions,
      suspicions,
      ...(beatRoundTripMs === null ? {} : { beatRoundTripMs }),
      ...(server === null ? {} : { server }),
    };
  }

  #standby(): Pick<NodeStatus, "standby" | "standbyMs"> {
    const { options, clock } = this.#o;
    const { role, candidacy } = this.driver.state;
    if ("term" in role) return {};
    if (options.observer) return { standby: "observer" };
    if (!candidacy.competes) return { standby: "withdrawn" };
    const { mono } = clock.now();
    const cooldownMs = Math.ceil(candidacy.cooldownUntilMono - mono);
    const pauseMs = Math.ceil(candidacy.pauseUntilMono - mono);
    if (pauseMs > 0 && pauseMs >= cooldownMs) return { standby: "failed", standbyMs: pauseMs };
    return cooldownMs > 0 ? { standby: "cooldown", standbyMs: cooldownMs } : {};
  }

  report(): NodeReport {
    const { options, clock } = this.#o;
    const { role, announced, lease, candidacy } = this.driver.state;
    const status = this.status();
    const epoch = status.held && "term" in role ? role.term.epoch : 0;
    return {
      ...status,
      leaderSince: announced?.acquiredAt ?? null,
      remainingMs: status.held ? this.driver.provenRemainingMs(epoch) : 0,
      answeredMs: Math.max(0, clock.now().mono - lease.refreshedAt.mono),
      spanMs: leaseSpanMs(options.leaseTtlMs),
      stopping: candidacy.stopping,
    };
  }

  /** Gives up the running term, or joins a step-down that has begun. Rejects if there is neither. */
  async stepDown(to: string | undefined, options: WaitOptions): Promise<StepDownResult> {
    if (to === undefined) return this.#stepDown(to, options);
    const refused = this.#watch.handover(to, this.#o.clock.now());
    try {
      return await this.#stepDown(to, options);
    } catch (error) {
      refused(this.#o.clock.now());
      throw error;
    }
  }

  async #stepDown(to: string | undefined, options: WaitOptions): Promise<StepDownResult> {
    const term = this.application.term;
    // A term that is being given up already has its successor.
    if (to !== undefined && term !== null) {
      await checkSuccessor(to, this.#o.options, this.#o.attachment, options);
      // The check takes a round trip, during which the term may have ended.
      if (this.application.term !== term) throw this.#notLeader();
    }
    const what = `node "${this.#o.options.nodeId}" to step down`;
    const result = await this.calls.stepDown(what, to, options);
    if (result === null) throw this.#notLeader();
    return result;
  }

  #notLeader(): ClusterError {
    const { announced, role } = this.driver.state;
    const leader = announced === null ? "none" : `"${announced.nodeId}"`;
    return new ClusterError(
      "NOT_LEADER",
      `node "${this.#o.options.nodeId}" is not the leader (role: ${role.name}, leader: ${leader})`,
    );
  }

  #notDeleted(epoch: number): ClusterError {
    const { leaseTtlMs } = this.#o.options;
    return new ClusterError(
      "STORE_UNAVAILABLE",
      `stepped down, but the lease with epoch ${epoch} could not be deleted; it expires within ${leaseTtlMs} ms, and another node leads then`,
      { recoverable: true },
    );
  }

  #onTwin(incarnation: string | null): void {
    const { id, options } = this.#o;
    if (!this.#isNewTwin(incarnation ?? "")) return;
    const other = incarnation === null ? "a go-cluster node" : `incarnation ${incarnation}`;
    const message = `two processes use node id "${options.nodeId}": ${other} runs besides this process, which is incarnation ${id}; give each process its own nodeId`;
    const warning = { type: "warning", code: "DUPLICATE_NODE_ID", message } as const;
    logNotice(this.#o.logger, warning, this.#bounds());
    this.#o.emit({ ...warning, error: null });
  }

  #isNewTwin(incarnation: string): boolean {
    this.#lastTwin = incarnation;
    if (this.#twins.has(incarnation) || this.#twins.size >= MAX_TWINS_REPORTED) return false;
    this.#twins.add(incarnation);
    return true;
  }

  /** One line of the log and one event for whatever happens. */
  #notify(notice: Notice, term: (epoch: number) => Term): void {
    const { emit, logger } = this.#o;
    if (notice.type === "warning" && notice.code === "DUPLICATE_NODE_ID") {
      const { duplicate } = this.driver.state.holder;
      if (duplicate !== null && !this.#isNewTwin(duplicate)) return;
    }
    logNotice(logger, notice, this.#bounds());
    switch (notice.type) {
      case "become-leader":
      case "suspended":
      case "resumed":
        return emit({ type: notice.type, term: term(notice.epoch) });
      case "lose-leadership":
        return emit({ type: notice.type, term: term(notice.epoch), reason: notice.reason, by: notice.by });
      case "released": {
        const { type, epoch, deleted, drain } = notice;
        this.#watch.released({ epoch, deleted, outcome: drain }, this.#o.clock.now());
        return emit({ type, term: term(epoch), deleted, drain });
      }
      case "hook-error": {
        const { type, hook, epoch, error } = notice;
        return emit({ type, hook, epoch, error: asError(error) });
      }
      case "warning":
        return emit({
          type: "warning",
          code: notice.code,
          message: notice.message,
          error: notice.error ?? null,
        });
      case "blocked": {
        const { code } = notice.blocked;
        return emit({ type: "warning", code, message: blockedText(notice.blocked), error: null });
      }
      case "connection-closed": {
        const message = "the NATS connection was closed for good; the node stops";
        return emit({ type: "warning", code: "CONNECTION_CLOSED", message, error: notice.error });
      }
      case "drain":
      case "drain-timeout":
        return;
      case "leader-change":
      case "nats-disconnect":
      case "nats-reconnect":
        return emit(notice);
      case "stopped":
        emit(notice);
        return this.#stopped.resolve(notice.reason);
      default:
        notice satisfies never;
    }
  }

  #bounds(): Bounds {
    const { leaseTtlMs, drainTimeoutMs, silenceMs } = this.#o.options;
    return { leaseTtlMs, drainTimeoutMs, silenceMs, connected: this.#o.attachment.session.connected };
  }

  async #close(): Promise<void> {
    this.#unlisten?.();
    // A stop may come while the service is still being set up.
    const service = await this.#serving.catch(() => null);
    await service?.stop().catch(() => {});
    await this.#o.attachment.close();
  }
}
