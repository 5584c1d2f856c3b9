/** Panels and dashboards of Grafana, as its JSON: only what Grafana needs to import them. */

export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export type Unit =
  | "none"
  | "short"
  | "s"
  | "bytes"
  | "percentunit"
  | "reqps"
  | "Bps"
  | "dateTimeAsIso"
  | "bool_yes_no";

export interface Panel {
  readonly title: string;
  readonly kind: "timeseries" | "stat" | "state-timeline" | "table" | "bargauge";
  /** What it shows, and what to do with it. */
  readonly text: string;
  readonly queries: readonly Query[];
  readonly unit: Unit;
  /** Of 24. @default 12 */
  readonly width?: number;
  /** Lines at which colours change. */
  readonly limits?: readonly { readonly above: number; readonly color: "green" | "orange" | "red" }[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly text: string;
  /** Label values to choose from: `cluster` of a metric. */
  readonly variables: readonly { readonly name: string; readonly metric: string }[];
  readonly panels: readonly Panel[];
}

const HEIGHT = 8;
const COLUMNS = 24;
const SOURCE = { type: "prometheus", uid: "$datasource" };

/** The dashboard as Grafana stores it. */
export function dashboardJson({ uid, title, text, variables, panels }: Dashboard): string {
  const dashboard = {
    uid,
    title,
    description: text,
    tags: ["nats-leader"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    links: [
      { type: "dashboards", title: "nats-leader", tags: ["nats-leader"], asDropdown: true, keepTime: true },
    ],
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus", label: "Data source", hide: 0 },
        ...variables.map(({ name, metric }) => ({
          name,
          type: "query",
          label: name,
          datasource: SOURCE,
          query: { query: `label_values(${metric}, ${name})`, refId: name },
          refresh: 2,
          includeAll: true,
          multi: true,
          allValue: ".*",
          current: { selected: true, text: ["All"], value: ["$__all"] },
          sort: 1,
        })),
      ],
    },
    annotations: { list: [] },
    panels: placed(panels),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

/** Panels from left to right, in rows of 24 columns. */
function placed(panels: readonly Panel[]): object[] {
  let x = 0;
  let y = 0;
  return panels.map((panel, index) => {
    const { width = 12 } = panel;
    if (x + width > COLUMNS) {
      x = 0;
      y += HEIGHT;
    }
    const gridPos = { x, y, w: width, h: HEIGHT };
    x += width;
    return panelJson(panel, index + 1, gridPos);
  });
}

function panelJson(
  { title, kind, text, queries, unit, limits = [] }: Panel,
  id: number,
  gridPos: object,
): object {
  const steps = [
    { color: "green", value: null },
    ...limits.map(({ above, color }) => ({ color, value: above })),
  ];
  return {
    id,
    type: kind,
    title,
    description: text,
    datasource: SOURCE,
    gridPos,
    fieldConfig: {
      defaults: {
        unit,
        thresholds: { mode: "absolute", steps },
        ...(kind === "timeseries" && limits.length > 0
          ? { custom: { thresholdsStyle: { mode: "line" } } }
          : {}),
      },
      overrides: [],
    },
    options:
      kind === "timeseries"
        ? { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi" } }
        : {},
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
      ...(kind === "table" || kind === "stat" || kind === "bargauge"
        ? { instant: true, range: false }
        : { range: true }),
      ...(kind === "table" ? { format: "table" } : {}),
    })),
  };
}
