/**
 * Runs `nats-leader doctor --watch`. Without arguments it checks the three servers of `npm run deploy-nats-cluster -- up`.
 *
 *   npm run monitor:cluster -- --monitor http://n1:8222 http://n2:8222
 */
const HERE = [8222, 8223, 8224].map((port) => `http://127.0.0.1:${port}`);

const given = process.argv.slice(2);
if (given.includes("--help") || given.includes("-h")) {
  console.log(
    `Usage: npm run monitor:cluster -- [options of "nats-leader doctor"]\n\nRuns "nats-leader doctor --watch". Without options it checks ${HERE.join(", ")}.\n`,
  );
}
const nothing = given.length === 0 && (process.env["NATS_LEADER_MONITOR"] ?? "") === "";
process.argv.splice(2, given.length, "doctor", "--watch", ...(nothing ? ["--monitor", ...HERE] : given));
await import("../../src/cli/main.ts");
