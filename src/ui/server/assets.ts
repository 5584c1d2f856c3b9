/** The files of the page: built by `npm run build`, or on demand where the sources are. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";

export interface Asset {
  readonly body: string;
  readonly contentType: string;
  /** Of its content. */
  readonly etag: string;
}

/** By the last part of their paths. */
export type Assets = ReadonlyMap<string, Asset>;

interface Built {
  readonly js: string;
  readonly css: string;
}

/** A leader's mark: a filled circle among three. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#10151f"/><circle cx="16" cy="11" r="5" fill="#35d0a5"/><circle cx="8" cy="22" r="3" fill="#6b7a90"/><circle cx="16" cy="24" r="3" fill="#6b7a90"/><circle cx="24" cy="22" r="3" fill="#6b7a90"/></svg>`;

export async function loadAssets(): Promise<Assets> {
  const { js, css } = await built();
  return new Map([
    ["page.js", asset(js, "text/javascript; charset=utf-8")],
    ["page.css", asset(css, "text/css; charset=utf-8")],
    ["icon.svg", asset(ICON, "image/svg+xml")],
  ]);
}

function asset(body: string, contentType: string): Asset {
  const hash = createHash("sha256").update(body).digest("base64url").slice(0, 22);
  return { body, contentType, etag: `"${hash}"` };
}

async function built(): Promise<Built> {
  const [js, css] = [
    new URL("../page/page.js", import.meta.url),
    new URL("../page/page.css", import.meta.url),
  ];
  // In the sources, the folder has the parts of the page and no bundle.
  if (!existsSync(js)) return fromSource();
  return { js: await readFile(js, "utf8"), css: await readFile(css, "utf8") };
}

let onDemand: Promise<Built> | null = null;

/** Once per process. */
function fromSource(): Promise<Built> {
  onDemand ??= buildFromSource();
  return onDemand;
}

const BUILDER = "scripts/build/page.mjs";
/** Compiled sources are in a folder below node_modules of the project. */
const MAX_DEPTH = 9;

async function buildFromSource(): Promise<Built> {
  let folder = new URL("./", import.meta.url);
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const script = new URL(BUILDER, folder);
    if (existsSync(script)) {
      const builder = (await import(/* @vite-ignore */ script.href)) as {
        readonly buildPage: () => Built;
      };
      return builder.buildPage();
    }
    folder = new URL("../", folder);
  }
  throw new Error(`the page is not built: neither page.js nor ${BUILDER} was found; run "npm run build"`);
}

/** @param token - Of this run; `null`: the page may not change anything. */
export function indexHtml(token: string | null): string {
  const meta = token === null ? "" : `<meta name="control-token" content="${token}">`;
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    '<meta name="color-scheme" content="dark light"><title>nats-leader</title>' +
    `<link rel="icon" href="icon.svg"><link rel="stylesheet" href="page.css">${meta}` +
    '<script type="module" src="page.js"></script></head>' +
    '<body><div id="app"></div><noscript>This page needs JavaScript.</noscript></body></html>'
  );
}
