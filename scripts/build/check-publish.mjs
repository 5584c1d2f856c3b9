// npm runs this before it publishes. Refuses as long as package.json does not say where the project lives: repository,
// bugs and homepage are set there, and nowhere else.
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const addresses = {
  repository: manifest.repository?.url ?? manifest.repository,
  bugs: manifest.bugs?.url ?? manifest.bugs,
  homepage: manifest.homepage,
};
const missing = Object.keys(addresses).filter((name) => !isAddress(addresses[name]));
if (missing.length > 0) {
  console.error(
    `not published: package.json has no valid ${missing.join(", ")}; set all of repository, bugs and homepage to URLs of the project`,
  );
  process.exitCode = 1;
}

function isAddress(value) {
  return typeof value === "string" && /^(git\+)?https:\/\/[^/]+\/.+/.test(value);
}
