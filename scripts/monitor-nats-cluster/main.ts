/**
 * Runs `nats-leader doctor --watch`. Without arguments it checks the three servers of `npm run deploy-nats-cluster -- up`.
 *
 *   npm run monitor:cluster -- --monitor http://n1:8222 http://n2:8222
 */
const HERE = [8222, 8223, 8224].map((port) => `http://127.0.0.1:${port}`);

const given = process.argv.slice(2);
const nothing = given.length === 0 && (process.env["NATS_LEADER_MONITOR"] ?? "") === "";
process.argv.splice(2, given.length, "doctor", "--watch", ...(nothing ? ["--monitor", ...HERE] : given));
await import("../../src/cli/main.ts");
