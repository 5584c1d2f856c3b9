/** Texts for mismatches: every step with its outcome, and the step at which fake and server differ. */
import type { Expectation, LeaseWrite } from "../../src/election/types.ts";
import type { Step } from "./bucket/operations.ts";
import type { Mismatch, ScriptOutcome } from "./bucket/run-script.ts";
import type { Subject } from "./deviations.ts";
import type { SessionOutcome } from "./session/run-session-script.ts";
import type { SessionStep } from "./session/session-script.ts";

function condition(expect: Expectation): string {
  if ("revision" in expect) return expect.revision === 0 ? "no message" : `revision ${expect.revision}`;
  return `no message and the last sequence ${expect.emptyAtSequence}`;
}

function writeText(write: LeaseWrite): string {
  const what = write.kind === "put" ? `puts nonce ${write.record.nonce}` : `releases epoch ${write.epoch}`;
  return `${what} expecting ${condition(write.expect)}`;
}

export function stepText(step: Step): string {
  switch (step.do) {
    case "write":
      return `${step.by} ${writeText(step.write)}`;
    case "race":
      return `concurrently: ${step.writes.map(({ by, write }) => `${by} ${writeText(write)}`).join("; ")}`;
    case "pipeline":
      return `${step.by} without waiting: ${step.writes.map(writeText).join("; then ")}`;
    case "late":
      return `c ${writeText(step.write)}; the request is held up`;
    case "arrive":
      return "the oldest held-up request arrives";
    case "lose-request":
      return `c ${writeText(step.write)}; the request is lost`;
    case "lose-answer":
      return `c ${writeText(step.write)}; the answer is lost`;
    case "offline":
      return `c ${writeText(step.write)}, then reads, both while disconnected`;
    case "open":
      return step.above === 0 ? `${step.by} opens` : `${step.by} opens, above revision ${step.above}`;
    case "read":
      return `${step.by} reads`;
    case "force":
      return `another client writes: ${step.what}`;
    case "restart":
      return `the server restarts after ${step.how}`;
    default:
      return `operator: ${step.do}`;
  }
}

export function sessionStepText(step: SessionStep): string {
  switch (step.do) {
    case "watch":
      return `${step.asker} watches ${step.binding === null ? "no presence" : `the presence of binding ${step.binding}`}`;
    case "ask":
      return `${step.asker} asks about binding ${step.binding}, ${step.twist}`;
    case "asker-drops":
    case "asker-returns":
      return `${step.asker} ${step.do.slice("asker-".length)}`;
    default:
      return `holder ${step.holder}: ${step.do}`;
  }
}

/** Marks the lines that only one side has. */
function difference(fake: readonly string[], server: readonly string[]): string[] {
  const marked = (lines: readonly string[], others: readonly string[]): string[] =>
    lines.map((line, index) => `      ${line === others[index] ? " " : ">"} ${line}`);
  return ["    fake:", ...marked(fake, server), "    server:", ...marked(server, fake)];
}

function title(kind: string, seed: number, { version, replicas }: Subject): string {
  return `${kind} script ${seed} on nats-server ${version}, replicas ${replicas}: fake and server differ`;
}

function script(
  title: string,
  steps: readonly (readonly [string, readonly string[]])[],
  end: string[],
): string {
  const lines = steps.map(([text, outcome], index) => `  ${index + 1}. ${text}: ${outcome.join(", ")}`);
  return [title, ...lines, ...end].join("\n");
}

export function bucketMismatchText(
  seed: number,
  subject: Subject,
  outcome: ScriptOutcome,
  mismatch: Mismatch,
): string {
  const steps = outcome.answers.map(({ step, lines }) => [stepText(step), lines] as const);
  const end = [
    `  ${steps.length + 1}. ${stepText(mismatch.step)}`,
    ...difference(mismatch.fake, mismatch.server),
  ];
  return script(title("bucket", seed, subject), steps, end);
}

export function sessionMismatchText(
  seed: number,
  subject: Subject,
  outcome: SessionOutcome,
  mismatch: NonNullable<SessionOutcome["mismatch"]>,
): string {
  const steps = outcome.answers.map(({ step, lines }) => [sessionStepText(step), lines.slice(0, 1)] as const);
  return script(title("session", seed, subject), steps, difference(mismatch.fake, mismatch.server));
}
