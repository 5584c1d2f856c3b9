/** A Prometheus of its own, with the files of this example, and what it answers. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "../../../src/system/find-program.ts";
import { ChildProgram } from "./child-program.ts";

const START_MS = 30_000;
const QUERY_MS = 10_000;

export interface PrometheusOptions {
  /** An empty folder for its files and its samples. */
  readonly folder: string;
  readonly port: number;
  /** By their paths; `prometheus.yml` among them. */
  readonly files: ReadonlyMap<string, string>;
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Unix seconds and value. */
  readonly values: readonly (readonly [number, number])[];
}

export interface ActiveAlert {
  readonly name: string;
  readonly state: "pending" | "firing";
  readonly labels: Readonly<Record<string, string>>;
}

/** `null`: it is not installed. */
export function findPrometheus(): string | null {
  return findProgram("prometheus");
}

/** Questions to a Prometheus. */
export class PrometheusApi {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  /** Samples at one moment. @param atSeconds @default now */
  async query(expr: string, atSeconds?: number): Promise<readonly Series[]> {
    const time = atSeconds === undefined ? {} : { time: String(atSeconds) };
    const found = await this.#get<Result>("query", { query: expr, ...time });
    // A range, such as `up[1m]`, has all samples in it.
    return found.result.map(({ metric, value, values = value === undefined ? [] : [value] }) => ({
      metric,
      values: values.map(numbers),
    }));
  }

  async queryRange(expr: string, from: number, to: number, stepSeconds: number): Promise<readonly Series[]> {
    const range = { start: String(from), end: String(to), step: String(stepSeconds) };
    const found = await this.#get<Result>("query_range", { query: expr, ...range });
    return found.result.map(({ metric, values = [] }) => ({ metric, values: values.map(numbers) }));
  }

  /** The only value, or 0 without one. */
  async value(expr: string): Promise<number> {
    const series = await this.query(expr);
    if (series.length > 1) throw new Error(`${expr} has ${series.length} series`);
    return series[0]?.values[0]?.[1] ?? 0;
  }

  async alerts(): Promise<readonly ActiveAlert[]> {
    interface Answer {
      readonly alerts: readonly {
        readonly state: ActiveAlert["state"];
        readonly labels: Record<string, string>;
      }[];
    }
    const { alerts } = await this.#get<Answer>("alerts", {});
    return alerts.map(({ state, labels }) => ({ name: labels["alertname"] ?? "", state, labels }));
  }

  async #get<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const url = new URL(`/api/v1/${path}`, this.url);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    const response = await fetch(url, { signal: AbortSignal.timeout(QUERY_MS) });
    const answer = (await response.json()) as {
      readonly status: string;
      readonly error?: string;
      readonly data: T;
    };
    if (answer.status !== "success") throw new Error(`${parameters["query"] ?? path}: ${answer.error}`);
    return answer.data;
  }
}

/** One that was started here. */
export class Prometheus extends PrometheusApi implements AsyncDisposable {
  readonly #program: ChildProgram;

  private constructor(url: string, program: ChildProgram) {
    super(url);
    this.#program = program;
  }

  /** Resolves when it is ready. @throws Error if it is not installed or refuses its files. */
  static async start({ folder, port, files }: PrometheusOptions): Promise<Prometheus> {
    const command = findPrometheus();
    if (command === null) throw new Error("prometheus is not installed (Debian: apt-get install prometheus)");
    for (const [path, text] of files) {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    const program = new ChildProgram({
      command,
      cwd: folder,
      args: [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=info",
      ],
    });
    await program.line(/Server is ready to receive web requests/, START_MS);
    return new Prometheus(`http://127.0.0.1:${port}`, program);
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface Result {
  readonly result: readonly {
    readonly metric: Readonly<Record<string, string>>;
    readonly value?: readonly [number, string];
    readonly values?: readonly (readonly [number, string])[];
  }[];
}

function numbers([at, value]: readonly [number, string]): readonly [number, number] {
  return [at, Number(value)];
}
