/** All dashboards, by the name of their file. */
import { dataBridge } from "./dashboards/bridge.ts";
import { elections } from "./dashboards/elections.ts";
import { errors } from "./dashboards/errors.ts";
import { groups } from "./dashboards/groups.ts";
import type { Dashboard } from "./dashboards/panel.ts";
import { connections, natsCluster, resources, streams } from "./dashboards/servers.ts";

export const DASHBOARDS: ReadonlyMap<string, Dashboard> = new Map([
  ["elections", elections],
  ["groups", groups],
  ["nats-cluster", natsCluster],
  ["resources", resources],
  ["streams-and-consumers", streams],
  ["connections", connections],
  ["errors", errors],
  ["data-bridge", dataBridge],
]);

/** Every query, as Prometheus understands it: all values of the variables, and one range for rates. */
export function dashboardQueries(
  rateInterval: string,
): readonly { readonly dashboard: string; readonly panel: string; readonly expr: string }[] {
  return [...DASHBOARDS].flatMap(([dashboard, { panels }]) =>
    panels.flatMap(({ title, queries }) =>
      queries.map(({ expr }) => ({
        dashboard,
        panel: title,
        expr: expr.replaceAll("$__rate_interval", rateInterval).replaceAll(/=~"\$\w+"/g, '=~".*"'),
      })),
    ),
  );
}
