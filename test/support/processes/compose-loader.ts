/** The loader of Docker Compose, without an engine: it checks files as `docker compose config` does. Built by Go. */
import { runToExit } from "../../../src/system/run-command.ts";
import { goTool } from "./go-tools.ts";

const MODULE = "github.com/compose-spec/compose-go/v2";
const LOAD_MS = 30_000;

const MAIN = `package main

import (
	"context"
	"fmt"
	"os"

	"${MODULE}/cli"
)

// compose-loader FILE...: prints the names of the services, or why the files are refused. COMPOSE_PROFILES as in Compose.
func main() {
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv, cli.WithName("test"), cli.WithDefaultProfiles())
	if err == nil {
		project, failure := options.LoadProject(context.Background())
		if err = failure; err == nil {
			for _, name := range project.ServiceNames() {
				fmt.Println(name)
			}
			return
		}
	}
	fmt.Println(err)
	os.Exit(1)
}
`;

export interface ComposeLoader {
  /** The names of the services, or the reason why the files are refused. */
  load(profiles: string, files: readonly string[]): Promise<{ readonly services: string[] } | string>;
}

export async function findComposeLoader(): Promise<ComposeLoader | { readonly missing: string }> {
  const tool = await goTool({
    name: "compose-loader",
    version: "v2.16.2",
    module: MODULE,
    build: { main: MAIN },
  });
  if ("missing" in tool) return tool;
  return {
    load: async (profiles, files) => {
      const env = { ...process.env, COMPOSE_PROFILES: profiles };
      const { code, stdout } = await runToExit(tool.path, [...files], { timeoutMs: LOAD_MS, env });
      return code === 0 ? { services: stdout.trim().split("\n").sort() } : stdout;
    },
  };
}
