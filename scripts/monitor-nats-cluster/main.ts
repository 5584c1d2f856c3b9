/**
 * `nats-leader doctor --watch`: npm run monitor:cluster -- --monitor http://n1:8222 http://n2:8222. Without arguments it
 * looks at the three servers that a cluster on this machine has.
 */
const HERE = [8222, 8223, 8224].map((port) => `http://127.0.0.1:${port}`);

const given = process.argv.slice(2);
const nothing = given.length === 0 && (process.env["NATS_LEADER_MONITOR"] ?? "") === "";
process.argv.splice(2, given.length, "doctor", "--watch", ...(nothing ? ["--monitor", ...HERE] : given));
await import("../../src/cli/main.ts");
