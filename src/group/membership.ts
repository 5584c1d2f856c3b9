import type { ConnectedServer, StopReason } from "../application/types.ts";
import { Emitter } from "../channels/emitter.ts";
import type { GroupFacts, GroupSource } from "../channels/source.ts";
import { checkResourceList } from "../config/group.ts";
import type { ResolvedGroupOptions } from "../config/group-options.ts";
import { leaseSpanMs } from "../election/lease.ts";
import { asError, ClusterError, messageOf } from "../errors.ts";
import { givenHooks } from "../node/hooks.ts";
import { applicationTimes } from "../runtime/application/application-times.ts";
import { linkReports } from "../runtime/application/link-reports.ts";
import { serverFields, serverText } from "../runtime/application/server-text.ts";
import type { Clock } from "../runtime/ports.ts";
import { deferred } from "../runtime/waiting.ts";
import {
  GROUP_HOOK_NAMES,
  type GroupHookName,
  type GroupNotice,
  type GroupOutput,
} from "./application/types.ts";
import type { GroupAttachment } from "./backend.ts";
import { type FreshClock, GroupCalls } from "./calls.ts";
import type { Resource } from "./core/balance.ts";
import type { GroupEvent } from "./core/events.ts";
import { takesNothing } from "./core/held.ts";
import { coordinatorOf, resourcesOf } from "./core/outlook.ts";
import type { GroupState } from "./core/state.ts";
import { ownedCount } from "./core/wanted.ts";
import type { GroupEventBody } from "./events.ts";
import { GroupWatch, leaseConfig } from "./group-watch.ts";
import type { GroupHooks } from "./hooks.ts";
import { groupBlockedText, logGroupNotice, Ownership } from "./log.ts";
import type { GroupLogger } from "./log-events.ts";
import type { MemberReport } from "./report.ts";
import { GroupRunner } from "./runner.ts";
import type { ResourceTerm } from "./term.ts";

/** The core of a member while it runs: `src/group/driver.ts`. */
export interface MemberDriver extends FreshClock {
  /** Begins to take part, in a bucket that is already open. */
  start(): void;
  dispatch(event: GroupEvent): void;
  /** May this member act as the owner of what it owns now? Compares clocks at every call. */
  isSessionHeld(): boolean;
  /** To be read only. */
  readonly state: GroupState;
}

type MoveRefused = Extract<GroupOutput, { type: "move-refused" }>;

/** Makes the core of a member. */
export type MakeDriver = (
  on: Pick<MembershipOptions, "id" | "options" | "attachment" | "clock">,
  output: GroupRunner["output"],
  observe: GroupWatch["step"],
) => MemberDriver;

export interface MembershipOptions {
  /** Random id of this incarnation. */
  readonly id: string;
  readonly options: ResolvedGroupOptions;
  readonly hooks: GroupHooks;
  /** The resources with which the member starts. */
  readonly resources: readonly Resource[];
  /** The lists that follow. */
  readonly laterResources: AsyncIterator<unknown> | null;
  readonly attachment: GroupAttachment;
  readonly clock: Clock;
  readonly keepAlive: (limitMs: number) => () => void;
  readonly logger: GroupLogger;
  readonly emit: (event: GroupEventBody) => void;
  /** Of the last incarnation of this member. */
  readonly earlier: GroupRunner | null;
  readonly makeDriver: MakeDriver;
  /** In whose name it publishes on the channels; `null` for a rehearsal. */
  readonly source: GroupSource | null;
}

/** What is gained and lost within this time is logged in one line, in milliseconds. */
const OWNERSHIP_LOG_MS = 500;

/** The state of a member by the phase of its session. */
const PHASES: Readonly<Record<GroupState["own"]["phase"], MemberReport["state"]>> = {
  none: "joining",
  live: "member",
  suspended: "suspended",
  leaving: "leaving",
};

/** Who is to own what, as a member sees it. */
export interface GroupPlan {
  /** The member that plans; `null`: not known. */
  readonly coordinator: string | null;
  /** Every resource on the member's own list. */
  readonly resources: readonly PlannedResource[];
}

export interface PlannedResource {
  readonly resource: string;
  /** The member that owns it; `null`: none does, or this member has heard nothing of its session for longer than the lease. */
  readonly owner: string | null;
  /** Of the owner's term, or of the last one. */
  readonly epoch: number;
  /** The member that is to own it. Another one than `owner`: it moves. */
  readonly target: string | null;
  /** Milliseconds for which it has had no owner; `null`: it has one. */
  readonly unownedMs: number | null;
}

/** A member from `start()` to `stop()`: the core, the application side, and the log lines and events of both. */
export class Membership {
  readonly driver: MemberDriver;
  readonly application: GroupRunner;
  readonly calls: GroupCalls;
  readonly #o: MembershipOptions;
  readonly #stopped = deferred<StopReason>();
  readonly #ownership: Ownership;
  readonly #startedAtMono: number;
  readonly #watch: GroupWatch;
  /** What the core has said about the last wish. */
  #refused: MoveRefused | null = null;
  #unlisten: (() => void) | null = null;

  constructor(o: MembershipOptions) {
    const { options, clock, logger } = o;
    this.#o = o;
    this.#startedAtMono = clock.now().mono;
    this.#watch = new GroupWatch({
      incarnation: o.id,
      emitter: new Emitter(o.source, o.id),
      ...leaseConfig(options),
      session: o.attachment.session,
    });
    this.#ownership = new Ownership(
      (run) => void clock.setTimer(OWNERSHIP_LOG_MS, run),
      (owned, gained, lost) => {
        logger.info(
          { event: "owned", owned, gained, lost },
          `owns ${owned} resources (+${gained}, -${lost})`,
        );
      },
    );
    this.application = new GroupRunner({
      earlier: o.earlier,
      config: {
        ...applicationTimes(options.drainTimeoutMs, options.core.leaseTtlMs),
        hooks: givenHooks(o.hooks, GROUP_HOOK_NAMES),
      },
      context: {
        groupId: options.groupId,
        memberId: options.memberId,
        incarnation: o.id,
        clock: {
          isHeld: (resource) => this.driver.isHeld(resource),
          remainingMs: (resource) => this.driver.remainingMs(resource),
          provenRemainingMs: (resource) => this.driver.provenRemainingMs(resource),
          leaseRemainingMs: (resource) => this.driver.leaseRemainingMs(resource),
          expire: () => this.driver.expire(),
        },
        untilHeld: (term, limits) => this.calls.untilHeld(term, limits),
      },
      hooks: o.hooks,
      clock,
      toCore: (event) => this.driver.dispatch(event),
      keepAlive: o.keepAlive,
      hookEnded: (call) => this.#watch.hook(call),
      notify: (notice, term) => this.#notify(notice, term),
      close: () => this.#close(),
      defect: (during, error) =>
        logger.error(
          { event: "internal-error", during, err: asError(error) },
          "a step of the member failed; the member goes on",
        ),
    });
    this.driver = o.makeDriver(
      o,
      (output) => {
        if (output.type === "move-refused") this.#refused = output;
        this.application.output(output);
      },
      (event, now, effects, state) => this.#watch.step(event, now, effects, state),
    );
    this.calls = new GroupCalls(this.application, this.driver, clock);
  }

  /** Resolves when the incarnation has ended and everything it opened is closed. */
  get stopped(): Promise<StopReason> {
    return this.#stopped.promise;
  }

  get connected(): boolean {
    return this.#o.attachment.session.connected;
  }

  get server(): ConnectedServer | null {
    return this.#o.attachment.session.linkFacts?.server ?? null;
  }

  /** @throws ClusterError `HANDOVER_REFUSED` */
  move(resource: string, to: string): void {
    this.#refused = null;
    this.driver.dispatch({ type: "move", resource, to });
    const refused = this.#refused as MoveRefused | null;
    if (refused === null) return;
    const { reason, coordinator } = refused;
    const whom = coordinator === undefined ? "there is none" : `it is "${coordinator}"`;
    const why: Readonly<Record<MoveRefused["reason"], string>> = {
      "not-coordinator": `member "${this.#o.options.memberId}" is not the coordinator: ${whom}`,
      "unknown-resource": `"${resource}" is not on the coordinator's list of resources`,
      "unknown-member": `"${to}" is no member that can take it: it is not alive, drains, has weight 0 or refuses the resource`,
    };
    throw new ClusterError("HANDOVER_REFUSED", `"${resource}" does not move to "${to}": ${why[reason]}`);
  }

  /** What the channels report of it. */
  facts(): GroupFacts {
    return this.#watch.read(this.#o.clock.now(), this.driver.state);
  }

  plan(): GroupPlan {
    const { state } = this.driver;
    const now = this.#o.clock.now();
    const resources = resourcesOf(state, now).map(({ resource, owner, epoch, target, unownedSinceMono }) => ({
      resource,
      owner,
      epoch,
      target,
      unownedMs: unownedSinceMono === null ? null : Math.max(0, now.mono - unownedSinceMono),
    }));
    return { coordinator: coordinatorOf(state, now), resources };
  }

  report(): MemberReport {
    const { options, attachment, clock } = this.#o;
    const { state } = this.driver;
    const { core } = options;
    const spanMs = leaseSpanMs(core.leaseTtlMs);
    const { own } = state;
    const now = clock.now();
    const held = this.driver.isSessionHeld();
    const remainingMs = held ? this.driver.provenRemainingMs() : 0;
    return {
      groupId: options.groupId,
      memberId: options.memberId,
      incarnation: this.#o.id,
      state: PHASES[own.phase],
      held,
      remainingMs,
      connected: attachment.session.connected,
      answeredMs: own.phase === "none" ? null : Math.max(0, now.mono - own.deadline.mono + spanMs),
      spanMs,
      leaseTtlMs: core.leaseTtlMs,
      crashDetection: core.crashDetection,
      draining: takesNothing(state),
      stopping: state.stopping !== null,
      owned: this.driver.leaseRemainingMs() === 0 ? 0 : ownedCount(state) - state.leavingTerms,
      resources: state.listed.length,
      members: this.application.members.map(({ memberId }) => memberId),
      coordinator: coordinatorOf(state, now),
      uptimeMs: Math.round(now.mono - this.#startedAtMono),
    };
  }

  start(): void {
    const { attachment, logger, options, resources, laterResources } = this.#o;
    const { session } = attachment;
    const server = session.linkFacts?.server ?? null;
    const report = linkReports(session, (event) => this.application.dispatch(event));
    this.#unlisten = session.listen((event) =>
      event.type === "beat-proven" ? this.#watch.lease.beat() : report(event),
    );
    this.#o.emit({ type: "started", server });
    logger.info(
      { event: "started", resources: resources.length, ...serverFields(server) },
      `member started, connected to ${serverText(server)}`,
    );
    this.driver.dispatch({ type: "profile", profile: options.profile });
    this.driver.dispatch({ type: "resources", resources });
    this.driver.start();
    attachment.serve({
      // What comes of it is an event, and in the bucket.
      drain: () => void this.calls.drain("", {}).catch(() => {}),
      rejoin: () => void this.calls.rejoin().catch(() => {}),
      move: (resource, to) => this.move(resource, to),
    });
    if (laterResources !== null) void this.#follow(laterResources);
  }

  /** Passes on the lists that the source yields, one in each turn of the event loop: a source that never waits must not stop it. */
  async #follow(lists: AsyncIterator<unknown>): Promise<void> {
    try {
      while (this.#unlisten !== null) {
        const { done, value } = await lists.next();
        if (this.#unlisten === null) return;
        if (done === true) throw new Error("it has ended");
        this.#setResources(value);
        await new Promise<void>((resolve) => void this.#o.clock.setTimer(0, resolve));
      }
    } catch (error) {
      // The signal of the source aborts when the member stops.
      if (this.#unlisten === null) return;
      this.#warn(
        `the source of resources has failed; the member goes on with the last list: ${messageOf(error)}`,
        error,
      );
    }
  }

  #setResources(list: unknown): void {
    try {
      this.driver.dispatch({ type: "resources", resources: checkResourceList(list) });
    } catch (error) {
      this.#warn(
        `a list of resources cannot be used; the member goes on with the last one: ${messageOf(error)}`,
        error,
      );
    }
  }

  #warn(message: string, error: unknown): void {
    const code = "RESOURCES_FAILED";
    this.#o.logger.warn({ event: "warning", code, err: asError(error) }, message);
    this.#o.emit({ type: "warning", code, message, error: asError(error) });
  }

  /** One line of the log and one event for whatever happens. */
  #notify(notice: GroupNotice, term: (resource: string, epoch: number) => ResourceTerm): void {
    const { emit, logger, options, attachment } = this.#o;
    const { drainTimeoutMs, core } = options;
    if (notice.type === "own" || notice.type === "disown") this.#ownership.note(notice.type);
    if (notice.type === "stopped") this.#ownership.flush();
    const bounds = { silenceMs: core.silenceMs, drainTimeoutMs, connected: attachment.session.connected };
    logGroupNotice(logger, notice, bounds);
    switch (notice.type) {
      case "own":
        return emit({ type: "own", term: term(notice.resource, notice.epoch) });
      case "disown": {
        const { type, resource, epoch, reason } = notice;
        return emit({ type, term: term(resource, epoch), reason });
      }
      case "released": {
        const { type, resource, epoch, drain, successor } = notice;
        this.#watch.released(resource, epoch, drain, this.#o.clock.now());
        return emit({ type, term: term(resource, epoch), drain, successor });
      }
      case "hook-error": {
        const { type, hook, resource, epoch, error } = notice;
        return emit({ type, hook, resource, epoch, error: asError(error) });
      }
      case "warning": {
        const { type, code, message, error = null } = notice;
        return emit({ type, code, message, error });
      }
      case "blocked": {
        const { code } = notice.blocked;
        return emit({ type: "warning", code, message: groupBlockedText(notice.blocked), error: null });
      }
      case "connection-closed": {
        const message = "the NATS connection was closed for good; the member stops";
        return emit({ type: "warning", code: "CONNECTION_CLOSED", message, error: notice.error });
      }
      case "move-refused":
        return;
      case "session-begun":
      case "session-ended":
      case "suspended":
      case "resumed":
      case "members":
      case "plan":
      case "coordinating":
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

  async #close(): Promise<void> {
    this.#unlisten?.();
    this.#unlisten = null;
    await this.#o.attachment.close();
  }
}

// `GroupHooks` and the application side name the same hooks.
GROUP_HOOK_NAMES satisfies readonly (keyof GroupHooks)[];
true satisfies keyof GroupHooks extends GroupHookName ? true : never;
