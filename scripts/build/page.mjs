// Builds the page of `nats-leader ui`: src/ui/page as one script and one style sheet.
//
//   import { buildPage } from "./page.mjs"    returns {js, css}: `npm run build` writes them to dist, and a program that runs from
//                                             the sources builds them when the page is asked for
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const folder = fileURLToPath(new URL("../../src/ui/page/", import.meta.url));
/** Browsers of the last two years. */
const TARGET = ["chrome111", "firefox114", "safari16.4"];

/**
 * Not asynchronous: esbuild would leave a process of its own running.
 * @returns {{js: string, css: string}}
 */
export function buildPage() {
  const { outputFiles } = buildSync({
    entryPoints: [`${folder}main.tsx`, `${folder}page.css`],
    outdir: folder,
    bundle: true,
    minify: true,
    format: "esm",
    target: TARGET,
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    write: false,
    logLevel: "warning",
  });
  const textOf = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text;
  return { js: textOf("main.js"), css: textOf("page.css") };
}
