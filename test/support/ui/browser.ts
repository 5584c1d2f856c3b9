/** A real Chromium. Tests that need it are skipped without it, with the reason in their names. */
import { existsSync } from "node:fs";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { atEnd } from "../at-end.ts";
import { useForAll } from "../use-server.ts";

const CHROMIUM = "/usr/bin/chromium";

export const hasChromium: boolean = existsSync(CHROMIUM);

/** Completes the name of a test. */
export const CHROMIUM_REASON: string = hasChromium ? "" : ` (skipped: there is no ${CHROMIUM})`;

interface Started extends AsyncDisposable {
  newPage(options: BrowserContextOptions): Promise<Page>;
}

/** For all tests of a file, or of the `describe` block that calls it. */
export function useBrowser(): Started {
  return useForAll(async () => {
    const browser: Browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    });
    return {
      newPage: (options) => browser.newPage(options),
      [Symbol.asyncDispose]: () => browser.close(),
    };
  });
}

/** A page whose errors fail the test, and that may ask its own server only. */
export async function openPage(
  browser: Started,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin)) problems.push(`request to ${request.url()}`);
  });
  page.on("dialog", (dialog) => {
    problems.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  atEnd(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });
  await page.goto(url);
  return page;
}

interface AxeResult {
  readonly violations: ReadonlyArray<{
    readonly id: string;
    readonly nodes: ReadonlyArray<{ readonly html: string; readonly failureSummary?: string }>;
  }>;
}

/** What axe finds, one line for each. The policy of the page allows no script but its own: axe comes through the debugger. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate("axe.run()")) as AxeResult;
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`,
  );
}

/** By how many pixels the page is wider than the window. */
export function overflowOf(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - innerWidth") as Promise<number>;
}
