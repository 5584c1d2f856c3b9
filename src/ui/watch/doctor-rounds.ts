/** Examines one cluster or group after the other, for as long as the page is open. */
import type { NodeOptions } from "../../config/resolve.ts";
import { resolveOptions } from "../../config/resolve.ts";
import { Doctor } from "../../doctor/doctor.ts";
import { messageOf } from "../../errors.ts";
import { type DoctorState, NOT_EXAMINED, withFindings } from "../model/findings.ts";
import { DueTimer } from "./due-timer.ts";

/** Each is examined this often, if there are few of them. */
const ROUND_MS = 30_000;
/** Least pause between two examinations: each opens a connection. */
const LEAST_MS = 2_000;

export interface DoctorRoundsOptions {
  readonly nodeOptions: NodeOptions;
  readonly timeoutMs: number;
  /** What there is to examine: `cluster/ID` or `group/ID`. */
  readonly subjects: () => readonly string[];
  /** Whether it is worth to examine: there is a connection, and a viewer. */
  readonly wanted: () => boolean;
  readonly onState: (state: DoctorState) => void;
}

export class DoctorRounds {
  readonly #o: DoctorRoundsOptions;
  readonly #timer: DueTimer;
  #state: DoctorState = NOT_EXAMINED;
  #last: string | null = null;
  #examining: Promise<void> | null = null;
  #closed = false;

  constructor(options: DoctorRoundsOptions) {
    this.#o = options;
    this.#timer = new DueTimer(() => this.#turn());
  }

  /** What is found first, such as a new cluster, is examined soon. */
  start(): void {
    if (this.#examining === null) this.#timer.in(200);
  }

  /** Waits for an examination that runs: it closes its connection. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.close();
    await this.#examining;
  }

  #turn(): void {
    const { subjects, wanted } = this.#o;
    const all = subjects();
    const subject = this.#next(all);
    if (subject === null || !wanted()) return this.#timer.in(LEAST_MS);
    this.#last = subject;
    this.#examining = this.#examine(subject).finally(() => {
      this.#examining = null;
      const isNew = all.some((one) => !this.#state.bySubject.has(one));
      this.#timer.in(isNew ? 0 : Math.max(LEAST_MS, ROUND_MS / Math.max(1, all.length)));
    });
  }

  /** One that was not examined yet, or the one after the last. */
  #next(all: readonly string[]): string | null {
    const fresh = all.find((one) => !this.#state.bySubject.has(one));
    if (fresh !== undefined && fresh !== this.#last) return fresh;
    const at = this.#last === null ? -1 : all.indexOf(this.#last);
    return all[(at + 1) % Math.max(1, all.length)] ?? null;
  }

  async #examine(subject: string): Promise<void> {
    const { nodeOptions, timeoutMs, subjects, onState } = this.#o;
    const [kind, id = ""] = subject.split("/");
    const isCluster = kind === "cluster";
    const { leaseTtlMs } = resolveOptions(nodeOptions);
    const doctor = new Doctor({
      clusterId: isCluster ? id : null,
      expectedServers: null,
      expectedNodes: null,
      leaseTtlMs,
      timeoutMs,
      monitors: [],
      tls: {},
      system: null,
      account: {
        nodeOptions: isCluster ? { ...nodeOptions, clusterId: id } : nodeOptions,
        hasCluster: isCluster,
        nodeId: null,
        role: null,
        groupIds: isCluster ? [] : [id],
        groupRole: null,
        timeoutMs,
        // The user of the page needs the permissions of an operator at most.
        tryPermissions: false,
      },
    });
    try {
      const { findings } = await doctor.examine();
      this.#state = withFindings(this.#state, subject, findings, new Set(subjects()), Date.now());
    } catch (error) {
      this.#state = { ...this.#state, problem: messageOf(error) };
    } finally {
      await doctor.close();
    }
    if (!this.#closed) onState(this.#state);
  }
}
