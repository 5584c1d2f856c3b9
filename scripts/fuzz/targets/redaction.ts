/** What is logged: no secret of a recognisable form remains in any text, wherever it stands. */
import fc from "fast-check";
import { redact, redactText } from "../../../src/log/redact.ts";
import { type FuzzTarget, fill } from "../target.ts";

/** A text with a secret, and the part of it that must not be shown; `null`: there is no secret. */
interface Logged {
  readonly value: unknown;
  readonly secret: string | null;
}

const SEED = `SU${"AB2".repeat(19).slice(0, 56)}`;
const word = fc.stringMatching(/^[!-~]{0,12}$/);
const around = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", " ", "://", "@", "eyJ", ".", "-----BEGIN PRIVATE KEY-----", "x\n"),
  },
);
const secret = fc.oneof(
  word.map((rest) => ({ text: `nats://me:Xq7Zk9${rest}@host:4222`, hidden: "Xq7Zk9" })),
  fc.constant({ text: SEED, hidden: SEED }),
  fc.constant({ text: "eyJhbGciOiJ.eyJqdGkiOiJ.c2lnbmF0dXJl", hidden: "eyJqdGkiOiJ" }),
  fc.constant({ text: "-----BEGIN PRIVATE KEY-----\nXq7Zk9\n-----END PRIVATE KEY-----", hidden: "Xq7Zk9" }),
);
const text = fc.tuple(around, secret, around).map(
  ([before, { text: middle, hidden }, after]): Logged => ({
    // Blanks: a seed that continues a word is none.
    value: `${before} ${middle} ${after}`,
    secret: hidden,
  }),
);

export const target: FuzzTarget<Logged> = {
  name: "redaction",
  inputs: fc.oneof(
    { weight: 3, arbitrary: text },
    {
      weight: 1,
      arbitrary: text.map(({ value, secret: hidden }) => ({ value: { deep: [{ value }] }, secret: hidden })),
    },
    {
      weight: 1,
      arbitrary: fc.anything({ withMap: true, withSet: true }).map((value) => ({ value, secret: null })),
    },
  ),
  show: ({ value, secret: hidden }) => {
    const logged = typeof value === "string" ? redactText(value) : redact(value);
    if (hidden !== null && JSON.stringify(logged).includes(hidden)) throw new Error("a secret is logged");
    return [];
  },
  grown: (piece, size) => ({ value: fill(piece, size), secret: null }),
  pieces: [
    "://",
    "a@",
    "eyJ-",
    "eyJa.",
    "eyJa-b.c",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "-----END ",
    SEED,
    "S",
  ],
};
