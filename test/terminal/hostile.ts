/** Text that a record, an answer or an error may contain to mislead a reader of the terminal. */
export const HOSTILE: readonly string[] = [
  "\x1b]0;PWNED\x07\x1b[2J\x1b[31mroot#\x1b[0m",
  "\u009b2J\u0090\u009d0;PWNED\u009c",
  "\u202eevil\u2066\u200f\u061c",
  "a\rb\nc\td\x00\x7f\b\v",
  "\u2028\u2029\u0085",
  "\ud800\udc00\ud800",
  "\udfff",
  "\u200b\u200d\ufeff\u00ad\u{e0041}",
  "x".repeat(5_000),
  "漢".repeat(5_000),
  "e\u0301".repeat(3_000),
  " ".repeat(5_000),
  "",
  "Error: forged\nSuccessfully promoted to leader",
];

/** What a terminal could interpret, or that is not one visible line. `\n` ends a line and is not meant. */
export const UNSAFE: RegExp = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;

/** Without the styles that the program itself adds. */
export function withoutStyles(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  return text.replace(/\x1b\[(?:1|2|31|32)m([^\x1b]*)\x1b\[0m/g, "$1");
}
