import { expect } from "vitest";

/**
 * Compares plays with the transcript on file, act by act; `vitest -u` rewrites the file.
 * `test/election/transcripts/README.md` is the legend.
 */
export async function expectTranscript(
  name: string,
  ...acts: readonly { toString(): string }[]
): Promise<void> {
  const text = acts.map(String).join("\n\n");
  await expect(text).toMatchFileSnapshot(`./transcripts/${name}.txt`);
}
