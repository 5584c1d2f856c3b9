/** The arguments of a script, with a `--help` that lists all of them. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { messageOf } from "../../src/errors.ts";

/** An option of `parseArgs`, its text in the help, and the name of its value. */
type Option = NonNullable<ParseArgsConfig["options"]>[string] & {
  readonly help: string;
  readonly value?: string;
};
type Options = Readonly<Record<string, Option>>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>["values"];

/**
 * Parses the arguments of this process. `--help` prints the help and exits with 0; an unknown option, or one without its value,
 * prints the error and the help to stderr and exits with 2.
 *
 * @param about The command, and in one sentence what it does: `["npm run soak --", "repeats ..."]`.
 */
export function readArguments<const T extends Options>(
  about: readonly [string, string],
  options: T,
): Values<T> {
  const help = helpText(about, options);
  let values: Values<T> & { readonly help?: boolean };
  try {
    values = parseArgs({ options: { ...options, help: { type: "boolean", short: "h" } } })
      .values as typeof values;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}\n\n${help}`);
    process.exit(2);
  }
  if (values.help === true) {
    console.log(help);
    process.exit(0);
  }
  return values;
}

/** The text of `--help`. */
export function helpText([command, summary]: readonly [string, string], options: Options): string {
  const rows = Object.entries(options).map(([name, option]): [string, string] => {
    const { type, value = type === "string" ? "value" : undefined, help, default: usual } = option;
    const given = typeof usual === "string" && usual !== "" ? ` (default: ${usual})` : "";
    return [`--${name}${value === undefined ? "" : ` <${value}>`}`, `${help}${given}`];
  });
  rows.push(["-h, --help", "print this help"]);
  const width = Math.max(...rows.map(([flags]) => flags.length));
  const lines = rows.map(([flags, text]) => `  ${flags.padEnd(width)}  ${text}`);
  return [`Usage: ${command} [options]`, "", summary, "", "Options:", ...lines].join("\n");
}

/** What `read` makes of the arguments. If it throws, the process ends with 2 and the message. */
export function checked<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    console.error(`error: ${messageOf(error)}`);
    process.exit(2);
  }
}
