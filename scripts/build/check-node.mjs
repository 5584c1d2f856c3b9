// Ends the process if this Node is too old. Runs on a bare Node: imports no package.
const OLDEST = [20, 19];

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  const { version, execPath } = process;
  console.error(`nats-leader needs Node ${OLDEST.join(".")} or newer; this is ${version} (${execPath})`);
  process.exit(1);
}
