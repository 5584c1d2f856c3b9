/** The page in a real browser, with real processes. What is asserted is what a person sees, and in which order. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { configFile, configFor, start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import {
  axeViolations,
  CHROMIUM_REASON,
  hasChromium,
  openPage,
  overflowOf,
  useBrowser,
} from "../support/ui/browser.ts";
import { servePage } from "../support/ui/served-page.ts";
import { useNatsServer } from "../support/use-server.ts";

describe.runIf(hasChromium)(`the page in Chromium${CHROMIUM_REASON}`, () => {
  const server = useNatsServer();
  const browser = useBrowser();

  /** The text of an element, once it is as wanted. */
  function text(page: Page, selector: string, wanted: RegExp | string): Promise<void> {
    return page.locator(selector).filter({ hasText: wanted }).first().waitFor();
  }

  test("shows the next leader of a killed process, and what was", async () => {
    const clusterId = freshId();
    const daemon = (nodeId: string) =>
      start<{ readonly msg?: string }>([
        ...["daemon", "--json", "--config", configFile(configFor(server, clusterId, nodeId))],
      ]);
    const killed = daemon("victim");
    await killed.next((line) => line.msg === "This node is now the LEADER");
    const survivor = daemon("survivor");
    await survivor.next((line) => line.msg === "Daemon started");
    const { url } = await servePage(server.url);
    const page = await openPage(browser, `${url}#/cluster/${clusterId}`);
    await text(page, "[data-leader]", "victim");
    await text(page, "tbody tr:has-text('survivor')", "following");
    // Every leader that the page shows from now on.
    await page.evaluate(`
      window.leaders = [];
      new MutationObserver(() => {
        const now = document.querySelector("[data-leader]")?.textContent?.trim();
        if (now !== undefined && now !== window.leaders.at(-1)) window.leaders.push(now);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    `);
    killed.kill("SIGKILL");
    await text(page, "[data-leader]", "survivor");
    const leaders = (await page.evaluate("window.leaders")) as string[];
    expect(leaders.filter((one) => one !== "victim")).toEqual(["survivor"]);
    await text(page, "tbody tr:has-text('victim')", "absent");
    const terms = page.getByRole("region", { name: "Terms" }).locator("tbody tr");
    await terms.nth(1).waitFor();
    expect(await terms.allInnerTexts()).toEqual([
      expect.stringMatching(/^2\s+survivor.*runs.*at most/s),
      expect.stringMatching(/^1\s+victim/),
    ]);
    // The overview shows the same, and its card leads back.
    await page.keyboard.press("o");
    await text(page, `[data-cluster="${clusterId}"] .leader`, "survivor");
    await page.locator(`[data-cluster="${clusterId}"]`).click();
    await text(page, "h1", clusterId);
    survivor.kill("SIGTERM");
    await text(page, "[data-leader]", "none");
    await survivor.exit;
  });

  test("fits 1280 and 390 pixels, dark and light, without findings of axe", async () => {
    const clusterId = freshId("a-cluster-with-a-long-name");
    await startLeader(server, { clusterId, nodeId: "node-with-a-rather-long-name-in-region-eu-central-1" });
    await startNode(server, { clusterId, nodeId: "b", observer: true });
    const hostile = '<img src=x onerror="alert(1)">';
    const group = new RealGroup(server.url, {
      resources: [hostile, ...Array.from({ length: 40 }, (_, n) => `r${n}`)],
    });
    await group.start("member-with-a-rather-long-name-in-region-eu-central-1");
    await group.start("b");
    const { url } = await servePage(server.url, { control: true });
    for (const colorScheme of ["dark", "light"] as const) {
      const page = await openPage(browser, url, { colorScheme, reducedMotion: "reduce" });
      const views = [
        ["#/", `[data-cluster="${clusterId}"] .lane`],
        [`#/cluster/${clusterId}`, ".table-wrap"],
        [`#/group/${group.groupId}`, "canvas"],
        ["#/cluster/unknown", ".empty"],
      ] as const;
      for (const [hash, shown] of views) {
        await page.goto(url + hash);
        await page.locator(shown).first().waitFor();
        expect([hash, colorScheme, await axeViolations(page)]).toEqual([hash, colorScheme, []]);
        for (const width of [1280, 390]) {
          await page.setViewportSize({ width, height: 800 });
          expect([hash, width, await overflowOf(page)]).toEqual([hash, width, 0]);
        }
        // The layout of phones is the same in both themes.
        if (colorScheme === "dark") expect([hash, await axeViolations(page)]).toEqual([hash, []]);
        await page.setViewportSize({ width: 1280, height: 800 });
      }
      // Names of resources are text, also where they are listed.
      await page.goto(`${url}#/group/${group.groupId}`);
      await page.locator("#filter").fill("onerror");
      await text(page, ".matches li", hostile);
      expect(await page.locator("main img").count()).toBe(0);
    }
  });

  test("leaves out what no member of a group lists any more: nothing needs an owner", async () => {
    const group = new RealGroup(server.url, { resources: 8 });
    const wide = await group.start("wide");
    await group.untilShares({ wide: 8 });
    const { url } = await servePage(server.url);
    const page = await openPage(browser, `${url}#/group/${group.groupId}`);
    const facts = page.locator("dl").first();
    await facts.filter({ hasText: /^Resources8Owned8Moving0Unowned0C/ }).waitFor();
    await wide.stop();
    // Without a member, no list is known.
    await facts.filter({ hasText: /^Resources8Owned0Moving0Unowned8C/ }).waitFor();
    await group.start("narrow", { resources: 5 });
    await facts.filter({ hasText: /^Resources5Owned5Moving0Unowned0C/ }).waitFor();
    await page.locator("#filter").fill("7");
    await text(page, ".matches li", "No resource matches.");
    await page.locator("#filter").fill("4");
    await text(page, ".matches li", /^4/);
    await page.goto(`${url}#/`);
    await text(page, `[data-group="${group.groupId}"]`, "5 resources");
    expect(await page.locator(`[data-group="${group.groupId}"]`).innerText()).not.toContain("unowned");
  });

  test("says that no member is alive when all were killed at once", async () => {
    const groupId = freshId("g");
    const election = { leaseTtlMs: 2_000, heartbeatIntervalMs: 500 };
    const config = configFile(configFor(server, freshId(), "a", { election }));
    const args = ["run", "--group", groupId, "--resources", "2", "--config", config];
    const member = start([...args, "--", process.execPath, "-e", "setInterval(() => {}, 1000)"]);
    const { url } = await servePage(server.url);
    const page = await openPage(browser, url);
    const card = `[data-group="${groupId}"]`;
    await text(page, card, /all owned.*2 resources/s);
    member.kill("SIGKILL");
    await text(page, card, "no member is alive");
    await text(page, ".total:has-text('Resources owned') .bad-text", / of /);
    await page.locator(card).click();
    await text(page, "tbody tr", /a.*late/s);
  });

  test("is used by the keyboard: help, filter, cards, grid, pause, theme", async () => {
    const [first, second] = [freshId("k1"), freshId("k2")];
    const leader = await startLeader(server, { clusterId: first, nodeId: "a", cooldownMs: 0, ...LONG });
    await startLeader(server, { clusterId: second, nodeId: "b", ...LONG });
    const group = new RealGroup(server.url, { resources: 300 });
    await group.start("m");
    const { url } = await servePage(server.url);
    const page = await openPage(browser, url);
    await page.locator(`[data-cluster="${second}"] .leader`).waitFor();
    await page.locator(`[data-cluster="${first}"] .leader`).waitFor();
    expect(await page.locator("button", { hasText: "…" }).count()).toBe(0);

    await page.keyboard.press("?");
    await text(page, "dialog[open]", "next, previous card");
    await page.keyboard.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });

    await page.keyboard.press("/");
    await page.keyboard.type(second);
    await page.locator(`[data-cluster="${first}"]`).waitFor({ state: "detached" });
    // The filter is that of the page on which it was typed.
    await page.locator(`[data-cluster="${second}"]`).click();
    await page.getByRole("region", { name: "Nodes" }).locator("tbody tr").waitFor();
    expect(await page.locator("#filter").inputValue()).toBe("");
    await page.keyboard.press("o");
    await page.locator(`[data-cluster="${second}"]`).waitFor();
    expect(await page.locator("#filter").inputValue()).toBe(second);
    expect(await page.locator(`[data-cluster="${first}"]`).count()).toBe(0);
    await page.keyboard.press("Escape");
    await page.locator(`[data-cluster="${first}"]`).waitFor();
    await page.keyboard.press("Escape");

    await page.locator(`[data-cluster="${first}"]`).focus();
    await page.keyboard.press("k");
    await page.keyboard.press("j");
    expect(await page.evaluate("document.activeElement.dataset.cluster")).toBe(first);
    expect(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")).toBe("solid");

    const dark = await page.evaluate("document.documentElement.dataset.theme");
    await page.keyboard.press("t");
    expect(await page.evaluate("document.documentElement.dataset.theme")).not.toBe(dark);

    const epoch = page.locator(`[data-cluster="${first}"] .epoch`);
    await page.keyboard.press("p");
    await text(page, ".link", "paused");
    const before = leader.node.leader?.epoch ?? 0;
    await leader.node.stepDown();
    await waitFor(() => (leader.node.leader?.epoch ?? 0) > before);
    expect(await epoch.innerText()).toContain(String(before));
    await page.keyboard.press("p");
    await text(page, `[data-cluster="${first}"] .epoch`, String(before + 1));

    await page.goto(`${url}#/group/${group.groupId}`);
    await page.locator("canvas").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await text(page, ".grid-line", /^1 .*m.*epoch \d+/s);
    await page.keyboard.press("Escape");
    await page.locator(`[data-cluster="${first}"]`).waitFor();
  });

  test("carries out what was confirmed by typing the name", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a", ...LONG });
    const b = await startNode(server, { clusterId, nodeId: "b", ...LONG });
    const { url } = await servePage(server.url, { control: true });
    const page = await openPage(browser, `${url}#/cluster/${clusterId}`);
    await page.getByRole("button", { name: "Hand over…" }).click();
    const button = page.getByRole("button", { name: "Hand over", exact: true });
    await page.locator("dialog input").fill("a");
    expect(await button.isDisabled()).toBe(true);
    expect(await axeViolations(page)).toEqual([]);
    await page.locator("dialog input").fill("b");
    expect(a.node.isLeader()).toBe(true);
    await button.click();
    await text(page, "dialog [role=status]", /^b leads, epoch \d+/);
    expect(b.node.isLeader()).toBe(true);
    await page.keyboard.press("Escape");
    await text(page, "[data-leader]", "b");
  });

  test("says that NATS is gone, and goes on when it is back", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const clusterId = freshId();
    await startLeader(own, { clusterId, nodeId: "a" });
    const { url } = await servePage(own.url);
    const page = await openPage(browser, url);
    await text(page, `[data-cluster="${clusterId}"] .leader`, "a");
    await own.stop();
    await text(page, "[role=alert]", "No connection to NATS");
    expect(await axeViolations(page)).toEqual([]);
    await text(page, `[data-cluster="${clusterId}"]`, "a");
    await own.start();
    await page.locator("[role=alert]").waitFor({ state: "detached" });
  });
});
