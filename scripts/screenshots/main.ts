/**
 * Photographs the page of `nats-leader ui` for docs/images, and measures how long a failover takes until it is on the screen:
 *
 *   npm run screenshots                      writes docs/images/ui-*.png
 *   npm run --silent bench:ui -- --json      no pictures: {"rounds", "shownMs": {"p50", "max"}, "chromium"}
 *
 * Everything is real: a nats-server, daemons that are killed, clusters, a group, the program, Chromium.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { readArguments } from "../shared/arguments.ts";
import { MAIN, World } from "./world.ts";

const IMAGES = fileURLToPath(new URL("docs/images/", root()));
const LARGEST_BYTES = 150_000;
const ROUNDS = 10;
/** Before a leader is killed: the node that was started last follows it. */
const SETTLE_MS = 2_500;
const CLUSTER = "billing";

const { json, measure: measures } = readArguments(
  [
    "npm run screenshots --",
    "Photographs the page of nats-leader ui for docs/images. With --measure it measures how long a failover takes until it is on the screen.",
  ],
  {
    measure: { type: "boolean", default: false, help: "no pictures: kill leaders, and time the next one" },
    json: { type: "boolean", default: false, help: "with --measure: print one line of JSON on stdout" },
  },
);

await using world = await World.start({ resources: 720 });
const program = await startProgram(world.server.url);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
try {
  if (measures) await measure(browser);
  else await photograph(browser);
} finally {
  await browser.close();
  program.child.kill("SIGINT");
}

/** In the sources and in the compiled scripts. */
function root(): URL {
  const here = new URL("../../", import.meta.url);
  const at = here.href.indexOf("/node_modules/");
  return at < 0 ? here : new URL(here.href.slice(0, at + 1));
}

async function startProgram(url: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const args = [...process.execArgv, MAIN, "ui", "--nats-url", url, "--allow-control"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    const [, found] = /(http:\S+)/.exec(line) ?? [];
    if (found !== undefined) return { child, url: found };
  }
  throw new Error("the program ended before it printed its URL");
}

async function photograph(from: Browser): Promise<void> {
  mkdirSync(IMAGES, { recursive: true });
  // A past, so that the timeline has something to show.
  const watching = await open(from, 1280, 800, "dark", `#/cluster/${CLUSTER}`);
  for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
    await pause(6_000);
    const leader = await leaderOn(watching);
    await world.end(leader, signal);
    await nextLeader(watching, leader);
    await pause(5_000);
    await world.startDaemon(CLUSTER, leader);
  }
  await pause(8_000);
  await watching.close();
  const views = [
    ["overview-dark", 1280, 800, "dark", "#/"],
    ["overview-light", 1280, 800, "light", "#/"],
    ["cluster-dark", 1280, 1180, "dark", `#/cluster/${CLUSTER}`],
    ["cluster-phone", 390, 844, "dark", `#/cluster/${CLUSTER}`],
    ["group-light", 1280, 900, "light", "#/group/sensors"],
  ] as const;
  for (const [name, width, height, scheme, hash] of views) {
    if (name === "group-light") await move();
    const page = await open(from, width, height, scheme, hash);
    await page
      .locator(hash === "#/" ? ".card" : hash.startsWith("#/group") ? "canvas" : ".table-wrap")
      .first()
      .waitFor();
    if (name === "group-light") await page.locator("dd.warn-text").first().waitFor();
    // The mark of a new leader has faded.
    if (name !== "group-light") await pause(1_500);
    const path = `${IMAGES}ui-${name}.png`;
    await page.screenshot({ path });
    const { size } = statSync(path);
    console.log(`${path} ${size}`);
    if (size > LARGEST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${LARGEST_BYTES}`);
    await page.close();
  }
}

/** A member begins to give up its resources. */
async function move(): Promise<void> {
  void world.members.get("ingest-3")?.drain();
}

async function open(
  from: Browser,
  width: number,
  height: number,
  colorScheme: "dark" | "light",
  hash: string,
): Promise<Page> {
  const page = await from.newPage({ viewport: { width, height }, colorScheme });
  await page.goto(program.url + hash);
  return page;
}

async function leaderOn(page: Page): Promise<string> {
  await page.locator("tbody .pill-good").first().waitFor();
  return (await page.locator("[data-leader]").innerText()).trim();
}

async function nextLeader(page: Page, before: string): Promise<void> {
  const others = new RegExp(`^\\s*(none|${before})\\s*$`);
  await page.locator("[data-leader]").filter({ hasNotText: others }).waitFor();
}

/** From the kill to the next frame after the new leader's name is in the document, by the clock of this machine. */
async function measure(from: Browser): Promise<void> {
  const page = await open(from, 1280, 800, "dark", `#/cluster/${CLUSTER}`);
  const shownMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const leader = await leaderOn(page);
    await pause(SETTLE_MS);
    const shown = page.evaluate(`new Promise((resolve) => {
      const isNext = () => {
        const name = document.querySelector("[data-leader]")?.textContent?.trim();
        return name !== undefined && name !== "none" && name !== ${JSON.stringify(leader)};
      };
      const observer = new MutationObserver(() => {
        if (!isNext()) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => resolve(Date.now()), 0));
      });
      observer.observe(document.body, { subtree: true, childList: true, characterData: true });
    })`) as Promise<number>;
    // The observer is there.
    await page.evaluate("0");
    const killedAt = Date.now();
    const ended = world.end(leader, "SIGKILL");
    shownMs.push((await shown) - killedAt);
    await ended;
    await world.startDaemon(CLUSTER, leader);
  }
  const sorted = [...shownMs].sort((a, b) => a - b);
  const result = {
    rounds: ROUNDS,
    shownMs: { p50: sorted[Math.floor(ROUNDS / 2)], max: sorted.at(-1), all: shownMs },
    chromium: from.version(),
  };
  console.log(json ? JSON.stringify(result) : result);
}
