/** Headers of a stored message, as `STREAM.MSG.GET` returns them. Foreign bytes: reading them never throws. */

/** Header names with their first values. What is not a header line is skipped. */
export function parseHeaders(bytes: Uint8Array): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const lines = new TextDecoder().decode(bytes).split("\r\n");
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon);
    if (!found.has(name)) found.set(name, line.slice(colon + 1).trim());
  }
  return found;
}
