import { expect } from "vitest";

/** Compares with the transcript on file; `vitest -u` rewrites it. Several plays make one transcript, act by act. */
export async function expectTranscript(
  name: string,
  ...acts: readonly { toString(): string }[]
): Promise<void> {
  const text = acts.map(String).join("\n\n");
  await expect(text).toMatchFileSnapshot(`./transcripts/${name}.txt`);
}
