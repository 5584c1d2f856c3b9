/**
 * A Kafka broker: one JVM with broker and controller (KRaft). Maven downloads it into the cache, from the registries of its own
 * configuration; every file has to have the pinned SHA-256.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { findProgram } from "../../../src/system/find-program.ts";
import { cacheDir } from "../../../src/testing/server/find/cache.ts";
import { freePort } from "../../../src/testing/server/run/ports.ts";
import { startProcess } from "../peer.ts";
import { type GroupServer, TOPIC } from "./group-peer.ts";
import { JARS, KAFKA_VERSION } from "./kafka-jars.ts";

export const KAFKA_PACKAGES: readonly string[] = ["default-jdk-headless", "maven"];

const HOST = "127.0.0.1";
const DOWNLOAD_MS = 300_000;
const START_MS = 120_000;
const POM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>nats-leader</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
  </dependencies>
</project>
`;

function kafkaFolder(): string {
  return join(cacheDir(process.env), "kafka", KAFKA_VERSION);
}

export function classPath(): string {
  return join(kafkaFolder(), "*");
}

export function kafkaMissing(): string | undefined {
  if (findProgram("java") === null) return "no program java (Debian: default-jdk-headless)";
  if (!existsSync(kafkaFolder()))
    return `no Kafka ${KAFKA_VERSION} in ${kafkaFolder()}; --install downloads it with Maven (43 MB)`;
  return undefined;
}

/** Does nothing if it is there. One rename makes it complete. */
export async function obtainKafka(say: (line: string) => void, signal: AbortSignal): Promise<void> {
  if (existsSync(kafkaFolder())) return;
  if (findProgram("mvn") === null) throw new Error("cannot download Kafka: no program mvn (Debian: maven)");
  const parent = join(kafkaFolder(), "..");
  await mkdir(parent, { recursive: true });
  const dir = await mkdtemp(join(parent, ".making-"));
  try {
    say(`downloading Kafka ${KAFKA_VERSION} with Maven`);
    await writeFile(join(dir, "pom.xml"), POM);
    const jars = join(dir, "jars");
    const args = [
      "-q",
      "-B",
      "dependency:copy-dependencies",
      "-DincludeScope=runtime",
      `-DoutputDirectory=${jars}`,
    ];
    await runMaven(args, dir, signal);
    await verify(jars);
    await rename(jars, kafkaFolder());
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function runMaven(args: readonly string[], cwd: string, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(DOWNLOAD_MS)]);
  const child = spawn("mvn", args, { cwd, stdio: ["ignore", 2, 2], signal: limit });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`mvn ${args.join(" ")} failed with exit code ${code}`);
}

async function verify(dir: string): Promise<void> {
  const names = (await readdir(dir)).sort();
  const expected = Object.keys(JARS).sort();
  if (names.join() !== expected.join())
    throw new Error(`Kafka refused: Maven downloaded ${names.join(", ")}, expected ${expected.join(", ")}`);
  for (const name of names) {
    const actual = createHash("sha256")
      .update(await readFile(join(dir, name)))
      .digest("hex");
    if (actual !== JARS[name])
      throw new Error(`${name} refused: its SHA-256 is ${actual}, expected ${JARS[name]}`);
  }
}

/** The groups of the Java client need limits that a broker does not allow by default; its defaults stay. */
function properties(dir: string, port: number, controllerPort: number): string {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@${HOST}:${controllerPort}`,
    `listeners=PLAINTEXT://${HOST}:${port},CONTROLLER://${HOST}:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://${HOST}:${port}`,
    "controller.listener.names=CONTROLLER",
    "inter.broker.listener.name=PLAINTEXT",
    `log.dirs=${join(dir, "data")}`,
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.min.heartbeat.interval.ms=1000",
  ].join("\n");
}

export async function startBroker(
  dir: string,
  partitions: number,
  signal: AbortSignal,
): Promise<GroupServer> {
  const file = join(dir, "server.properties");
  const port = await freePort(HOST);
  await writeFile(file, properties(dir, port, await freePort(HOST)));
  const java = ["-Xmx512m", "-cp", classPath()];
  const id = randomBytes(16).toString("base64url");
  const format = [...java, "kafka.tools.StorageTool", "format", "-t", id, "-c", file];
  const formatted = spawnSync("java", format, { encoding: "utf8" });
  if (formatted.status !== 0) throw new Error(`StorageTool failed: ${formatted.stdout}${formatted.stderr}`);
  const url = `${HOST}:${port}`;
  const admin = new Kafka({ brokers: [url], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
  const ready = async (): Promise<boolean> => {
    await admin.connect();
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic: TOPIC, numPartitions: partitions, replicationFactor: 1 }],
    });
    return true;
  };
  const stop = await startProcess(
    { command: "java", args: [...java, "kafka.Kafka", file], ready, startTimeoutMs: START_MS },
    signal,
  );
  await admin.disconnect();
  return { url, version: KAFKA_VERSION, stop };
}
