// Checks the prose of the project: comments, messages and documents use the terms of docs/architecture.md, not these words.
//
//   node scripts/build/check-words.mjs [PATH…]     files or folders; default: every file that git tracks
//
// Prints one line per finding and exits with 1, or prints nothing. A word list finds words only: whether a sentence reads
// well, a reader has to judge.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Pattern and what to write instead. Matched without regard to case, within one line. */
const WORDS = [
  [/\banew\b/, "again, recreated, from the start"],
  [/\bby the word of\b/, "confirmed by"],
  [/\bfor ever\b/, "forever, permanently, without limit"],
  [/\blets? go\b/, "releases"],
  [/\bmeanwhile\b/, "in the meantime: name the period"],
  [/\bnobody\b/, "no node, no process, no leader"],
  [/\bout-?wait\w*/, "takeover wait"],
  [/\b(?:re)?(?:told|tells?|telling)\b/, "notified, reported, says which, prints"],
  [/\bsomebody\b/, "another node, a user, an operator"],
  [/\bstor(?:y|ies)\b/, "trace, transcript, history"],
  [/\b(?:what|who)ever (?:was|is|were) (?:told|seen|said)\b/, "name the thing"],
  [/\bwhoever\b/, "the node that, the caller that"],
];

/** Text that keeps a word: files, what is not checked in them, and the reason. */
const EXCEPTIONS = [
  { files: /^(?:src|test)\//, text: /\bnobody-(?:competes|leads)\b/g }, // codes of doctor's findings, which programs read
  { files: /^CHANGELOG\.md$/, text: /`[^`]*`/g }, // former names
];

/** Files without prose of ours. */
const SKIPPED = /(?:^|\/)(?:package-lock\.json|LICENSE|check-words\.mjs)$|^test\/.*\.json$/;
const READ = /\.(?:ts|mjs|md|json|ya?ml|conf|pml|sh|html|service)$|^\.ci\/run$/;

const listed = spawnSync("git", ["ls-files", "--", ...process.argv.slice(2)], {
  cwd: root,
  encoding: "utf8",
});
if (listed.status !== 0) {
  console.error(`git ls-files failed: ${listed.stderr || listed.error?.message}`);
  process.exit(2);
}
let findings = 0;
for (const path of listed.stdout.split("\n")) {
  if (!READ.test(path) || SKIPPED.test(path)) continue;
  const lines = readFileSync(`${root}${path}`, "utf8").split("\n");
  const exceptions = EXCEPTIONS.filter(({ files }) => files.test(path));
  for (const [index, original] of lines.entries()) {
    const line = exceptions.reduce((rest, { text }) => rest.replace(text, blank), original);
    for (const [pattern, instead] of WORDS) {
      const found = new RegExp(pattern, "i").exec(line);
      if (found === null) continue;
      findings += 1;
      console.log(`${path}:${index + 1}:${found.index + 1} "${found[0]}": write ${instead}`);
    }
  }
}
if (findings > 0) console.log(`${findings} findings; the vocabulary is in docs/architecture.md`);
process.exitCode = findings === 0 ? 0 : 1;

/** Keeps the length, and so the columns of the rest of the line. */
function blank(text) {
  return " ".repeat(text.length);
}
