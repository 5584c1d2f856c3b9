/** Grafana with the dashboards of this example, if it is installed. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "../../../src/system/find-program.ts";
import { grafanaFiles } from "../source/files.ts";
import { ChildProgram } from "./child-program.ts";

const START_MS = 60_000;
/** Where the packages of Grafana have its files. */
const HOME = "/usr/share/grafana";

export interface GrafanaOptions {
  readonly folder: string;
  readonly port: number;
  readonly prometheusUrl: string;
}

/** `null`: it is not installed. */
export async function startGrafana({
  folder,
  port,
  prometheusUrl,
}: GrafanaOptions): Promise<{ readonly url: string; readonly program: ChildProgram } | null> {
  const command = findProgram("grafana");
  if (command === null) return null;
  const own = join(folder, "grafana");
  for (const [path, text] of grafanaFiles(prometheusUrl)) {
    const file = join(own, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const program = new ChildProgram({
    command,
    args: ["server", "--homepath", HOME],
    env: {
      GF_SERVER_HTTP_ADDR: "127.0.0.1",
      GF_SERVER_HTTP_PORT: String(port),
      GF_PATHS_DATA: join(own, "data"),
      GF_PATHS_PROVISIONING: join(own, "provisioning"),
      GF_AUTH_ANONYMOUS_ENABLED: "true",
      GF_ANALYTICS_REPORTING_ENABLED: "false",
      GF_ANALYTICS_CHECK_FOR_UPDATES: "false",
      NATS_LEADER_DASHBOARDS: join(own, "dashboards"),
    },
  });
  await program.line(/HTTP Server Listen/, START_MS);
  return { url: `http://127.0.0.1:${port}/dashboards`, program };
}
