import { expect } from "vitest";

/**
 * Compares a play with the transcript on file; `vitest -u` rewrites the file. `test/group/core/transcripts/README.md` is the legend.
 */
export async function expectTranscript(name: string, play: { toString(): string }): Promise<void> {
  await expect(String(play)).toMatchFileSnapshot(`./transcripts/${name}.txt`);
}
