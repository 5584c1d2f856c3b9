/** The only place that makes text from outside safe to print: terminals act on control characters and reorder text by bidi ones. */

/** Controls (C0, DEL, C1), format characters (bidi, zero width, tags), line and paragraph separators, halves of surrogate pairs. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u2065]/gu;

/**
 * The text with each such character as its escape, such as `\u001b`, and beyond `limit` characters cut, with `...`. Inside JSON
 * the escapes are JSON's own, so the value stays the same.
 */
export function printable(text: string, limit: number = Number.POSITIVE_INFINITY): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}...` : text;
  return cut.replace(UNSAFE, escaped);
}

/** What `printable()` changes, as JSON.stringify() writes it: control characters and halves of surrogate pairs are escapes there. */
const UNSAFE_IN_JSON = /[\p{Cf}\p{Zl}\p{Zp}\u007f-\u009f\u2065]|\\[bfrtu]/u;

/**
 * A value as JSON in which every text is printable: the program that parses it gets the escapes as text. Line breaks stay, which do not hide
 * anything on a page.
 */
export function printableJson(value: unknown): string {
  const json = JSON.stringify(value);
  // Nearly always. The way below takes ten times as long.
  if (!UNSAFE_IN_JSON.test(json)) return json;
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === "string"
      ? one
          .split("\n")
          .map((line) => printable(line))
          .join("\n")
      : one,
  );
}

/** JSON has no escape for a character beyond U+FFFF: its two halves are escaped. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    const hex = character.charCodeAt(at).toString(16).padStart(4, "0");
    return `\\u${hex}`;
  }).join("");
}
