// Prints "N passed, N failed" for vitest's JSON reports: node scripts/build/sum-tests.mjs REPORT…
import { readFileSync } from "node:fs";

let passed = 0;
let failed = 0;
let skipped = 0;
for (const report of process.argv.slice(2)) {
  for (const file of JSON.parse(readFileSync(report, "utf8")).testResults) {
    const count = (status) => file.assertionResults.filter((result) => result.status === status).length;
    passed += count("passed");
    // A file can fail outside its tests: it does not load, or leaves something open.
    failed += count("failed") || (file.status === "failed" ? 1 : 0);
    skipped += file.assertionResults.length - count("passed") - count("failed");
  }
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
