/** The commands that are typed while the bridge runs, or given as a script. */

export type Command =
  | { readonly type: "scale" | "poison" | "duplicate"; readonly count: number }
  | { readonly type: "kill" | "freeze" | "thaw"; readonly number: number }
  | { readonly type: "slow"; readonly on: boolean }
  | { readonly type: "restart"; readonly what: "nats" | "postgres" }
  | { readonly type: "wait"; readonly for: Awaited }
  | { readonly type: "pause"; readonly ms: number }
  | { readonly type: "status" }
  | { readonly type: "help" }
  | { readonly type: "stop" };

/** States of the whole that a script can wait for. */
export type Awaited = (typeof AWAITED)[number];
const AWAITED = ["balanced", "taken", "paused", "resumed"] as const;

export const COMMANDS = `  scale N           N instances
  kill N            kills instance N (SIGKILL); it is started again a second later
  freeze N, thaw N  stops instance N for as long as you like (SIGSTOP), and lets it go on (SIGCONT)
  slow on, slow off the sink takes half a second for each batch: partitions are paused
  poison [N]        sends N ticks that cannot be worked on: they become dead letters
  duplicate [N]     sends the last N ticks once more: the sink removes them
  restart nats, restart postgres
  status, help, stop`;

/** Longest number that a command takes: more would be a typing error. */
const MAX_COUNT = 1000;
const MAX_INSTANCES = 64;

/**
 * @param text - Commands separated by `;` or the ends of lines.
 * @throws Error that quotes the command and names the rule.
 */
export function parseScript(text: string): Command[] {
  return text
    .split(/[;\n]/)
    .map((one) => one.trim())
    .filter((one) => one !== "")
    .map(parseCommand);
}

export function parseCommand(text: string): Command {
  const [name = "", ...args] = text.trim().toLowerCase().split(/\s+/);
  const [argument] = args;
  const refuse = (rule: string): never => {
    throw new Error(`${JSON.stringify(text.trim().slice(0, 80))}: ${rule}`);
  };
  if (args.length > 1) refuse("a command has at most one argument");
  const whole = (min: number, max: number, fallback?: number): number => {
    if (argument === undefined && fallback !== undefined) return fallback;
    const value = /^\d{1,6}$/.test(argument ?? "") ? Number(argument) : -1;
    return value >= min && value <= max
      ? value
      : refuse(`${name} needs a whole number from ${min} to ${max}`);
  };
  const oneOf = <T extends string>(words: readonly T[]): T =>
    words.find((word) => word === argument) ?? refuse(`${name} needs ${words.join(" or ")}`);
  switch (name) {
    case "scale":
      return { type: name, count: whole(0, MAX_INSTANCES) };
    case "poison":
    case "duplicate":
      return { type: name, count: whole(1, MAX_COUNT, 1) };
    case "kill":
    case "freeze":
    case "thaw":
      return { type: name, number: whole(1, MAX_INSTANCES) };
    case "slow":
      return { type: name, on: oneOf(["on", "off"]) === "on" };
    case "restart":
      return { type: name, what: oneOf(["nats", "postgres"]) };
    case "wait": {
      const [, amount, unit] = /^(\d{1,7})(ms|s)$/.exec(argument ?? "") ?? [];
      if (amount !== undefined) return { type: "pause", ms: Number(amount) * (unit === "s" ? 1000 : 1) };
      const word = AWAITED.find((one) => one === argument);
      return word === undefined
        ? refuse(`wait needs a time, such as 3s, or ${AWAITED.join(", ")}`)
        : { type: "wait", for: word };
    }
    case "status":
    case "help":
    case "stop":
      return argument === undefined ? { type: name } : refuse(`${name} has no argument`);
    default:
      return refuse("no such command; help lists them");
  }
}
