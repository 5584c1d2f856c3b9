/** Input of the generated part of a server's configuration. */
export interface ConfigParts {
  readonly name: string;
  readonly listenHost: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly storeDir: string | undefined;
  /** host:port advertised to clients, if it differs from the listen address. */
  readonly advertise?: string | undefined;
  readonly cluster?: ClusterParts | undefined;
  readonly extra?: string | undefined;
}

/** The `cluster {}` block. */
export interface ClusterParts {
  readonly name: string;
  readonly listenHost: string;
  readonly port: number;
  /** host:port of every member, including this one: a server recognizes itself. */
  readonly routes: readonly string[];
}

/** The text of a nats-server configuration file. */
export function configText(parts: ConfigParts): string {
  const lines = [
    `server_name: ${quote(parts.name)}`,
    `host: ${quote(parts.listenHost)}`,
    `port: ${parts.port}`,
    `http: ${quote(`${parts.listenHost}:${parts.monitorPort}`)}`,
  ];
  if (parts.advertise !== undefined) lines.push(`client_advertise: ${quote(parts.advertise)}`);
  if (parts.storeDir !== undefined) lines.push(`jetstream { store_dir: ${quote(parts.storeDir)} }`);
  if (parts.cluster !== undefined) lines.push(...clusterLines(parts.cluster));
  if (parts.extra !== undefined) lines.push(parts.extra);
  return `${lines.join("\n")}\n`;
}

function clusterLines(cluster: ClusterParts): string[] {
  return [
    "cluster {",
    `  name: ${quote(cluster.name)}`,
    `  listen: ${quote(`${cluster.listenHost}:${cluster.port}`)}`,
    `  routes: [${cluster.routes.map((route) => quote(`nats-route://${route}`)).join(", ")}]`,
    "}",
  ];
}

function quote(text: string): string {
  return JSON.stringify(text);
}
