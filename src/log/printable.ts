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

/** JSON has no escape for a character beyond U+FFFF: its two halves are escaped. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    const hex = character.charCodeAt(at).toString(16).padStart(4, "0");
    return `\\u${hex}`;
  }).join("");
}
