/** Style and script of the timeline page. */

export const PAGE_STYLE: string = `
:root { color-scheme: light dark; --ground: #fbfbfc; --panel: #fff; --ink: #1d2330; --dim: #687083; --line: #e3e6ec;
  --a: #2f6fde; --b: #12946c; --c: #b7791f; --process: #c2413b; --network: #7c4dcc; --server: #0f7f9e; --bucket: #a8417f;
  --clock: #6b7280; --bad: #d11f2f; --good: #12834f; --vacant: #f0b429; }
@media (prefers-color-scheme: dark) { :root { --ground: #12151b; --panel: #1a1e27; --ink: #e6e9f0; --dim: #8d96a8;
  --line: #2b313d; --a: #6d9cf3; --b: #3fc298; --c: #e0a94f; --process: #ef7a72; --network: #b08cf2; --server: #4fc0dd;
  --bucket: #e085bd; --clock: #a3abb9; --bad: #ff5d6a; --good: #3fc07f; --vacant: #e5b94e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 28px 60px; background: var(--ground); color: var(--ink);
  font: 14px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 15px; margin: 26px 0 8px; }
h2 small { font-weight: 400; color: var(--dim); margin-left: 12px; }
h1 em { font-style: normal; font-size: 13px; padding: 3px 10px; border-radius: 99px; color: #fff; margin-left: 8px;
  vertical-align: 3px; background: var(--good); }
h1 em.bad { background: var(--bad); } p { color: var(--dim); margin: 4px 0 14px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; min-width: 130px; }
.tile strong { display: block; font-size: 19px; font-variant-numeric: tabular-nums; }
.tile span { color: var(--dim); font-size: 12px; } .tile.bad { border-color: var(--bad); } .tile.bad strong { color: var(--bad); }
.wrong, .wrong li { color: var(--bad); } .notes { color: var(--dim); }
nav { position: sticky; top: 0; z-index: 5; display: flex; flex-wrap: wrap; gap: 14px; align-items: center; margin-top: 18px;
  padding: 8px 0; background: var(--ground); border-bottom: 1px solid var(--line); }
nav label { display: flex; align-items: center; gap: 8px; color: var(--dim); }
button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 2px 10px; }
.legend { color: var(--dim); font-size: 12px; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 10px; vertical-align: -1px; }
.key.fault { width: 4px; height: 13px; border-radius: 1px; background: currentColor; vertical-align: -2px; }
.node-a { background: var(--a); } .node-b { background: var(--b); } .node-c { background: var(--c); }
.twin { outline: 1px dashed var(--ink); outline-offset: -2px; }
i.process, b.process { color: var(--process); } i.network, b.network { color: var(--network); }
i.server, b.server { color: var(--server); } i.bucket, b.bucket { color: var(--bucket); } i.clock, b.clock { color: var(--clock); }
u.process { background: var(--process); } u.network { background: var(--network); } u.server { background: var(--server); }
u.bucket { background: var(--bucket); } u.clock { background: var(--clock); }
.vacant { background: var(--vacant); } .vacant.machine { opacity: .45; } .vacant.none, .overlap { background: var(--bad); }
.overlap.documented { background: var(--process); opacity: .45; }
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; }
.world { position: relative; width: calc(90px + var(--seconds) * var(--pps, 14) * 1px); min-width: 100%; padding: 6px 0 2px; }
.bands { position: absolute; left: 84px; right: 6px; top: 0; bottom: 20px; }
.bands u { position: absolute; top: 0; bottom: 0; opacity: .1; }
.row { position: relative; display: flex; align-items: stretch; height: 24px; border-top: 1px solid var(--line); }
.row.thin { height: 15px; } .row.flags { height: 22px; border: 0; } .row.axis { height: 20px; color: var(--dim); font-size: 11px; }
.labels .row.flags { height: 118px; }
.name { position: sticky; left: 0; z-index: 2; flex: 0 0 84px; padding: 0 10px; background: var(--panel); color: var(--dim);
  font-size: 12px; display: flex; align-items: center; border-right: 1px solid var(--line); white-space: nowrap; }
.row.thin .name { font-size: 11px; }
.track { position: relative; flex: 1; margin-right: 6px; }
.track i { position: absolute; top: 4px; bottom: 4px; min-width: 1px; border-radius: 2px; }
.row.thin .track i { top: 3px; bottom: 3px; min-width: 2px; } .track i.odd { filter: brightness(1.14) saturate(.8); }
.track b { position: absolute; top: 3px; bottom: 2px; width: 3px; margin-left: -1px; background: currentColor; border-radius: 1px; }
.track b span { display: none; position: absolute; left: 4px; bottom: 0; transform-origin: 0 100%; transform: translate(10px, 2px) rotate(-62deg);
  font-size: 11px; font-weight: 500; white-space: nowrap; }
.labels .track b { top: auto; height: 14px; } .labels .track b span { display: block; }
.axis span:not(.name) { position: absolute; padding-left: 3px; border-left: 1px solid var(--line); white-space: nowrap; height: 100%; }
table { border-collapse: collapse; background: var(--panel); border: 1px solid var(--line); font-size: 13px; }
th, td { padding: 4px 12px; text-align: right; border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { color: var(--dim); font-weight: 500; } th:first-child, td:first-child, th:nth-child(2), .what { text-align: left; }
.what { color: var(--dim); } td .key { margin-left: 0; }
#tip { position: fixed; z-index: 9; pointer-events: none; white-space: pre; background: var(--ink); color: var(--ground);
  padding: 6px 10px; border-radius: 6px; font-size: 12px; max-width: 90vw; }
`;

export const PAGE_SCRIPT: string = `
const root = document.documentElement, zoom = document.getElementById("zoom"), tip = document.getElementById("tip");
const MIN = 0.2, MAX = 400, LABELS_FROM = 22;
function show(pps) {
  const scrolls = [...document.querySelectorAll(".scroll")];
  const middles = scrolls.map((it) => (it.scrollLeft + it.clientWidth / 2) / it.scrollWidth);
  root.style.setProperty("--pps", pps);
  document.body.classList.toggle("labels", pps >= LABELS_FROM);
  scrolls.forEach((it, n) => { it.scrollLeft = middles[n] * it.scrollWidth - it.clientWidth / 2; });
}
const toPps = (value) => MIN * Math.pow(MAX / MIN, value / 100);
zoom.addEventListener("input", () => show(toPps(Number(zoom.value))));
document.getElementById("fit").addEventListener("click", () => { zoom.value = 0; show(MIN); });
show(toPps(Number(zoom.value)));
for (const it of document.querySelectorAll(".scroll")) it.scrollLeft = 0;
document.addEventListener("mousemove", (event) => {
  const marked = event.target.closest("[data-t]");
  tip.hidden = marked === null;
  if (marked === null) return;
  tip.textContent = marked.dataset.t;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
});
`;
