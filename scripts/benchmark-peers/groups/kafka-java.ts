/** Groups of Kafka with its Java client and the group protocol of Kafka 4, `group.protocol=consumer`. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../../src/system/find-program.ts";
import {
  type GroupPeer,
  type MemberListener,
  type MemberProcess,
  type MemberTask,
  TOPIC,
} from "./group-peer.ts";
import { classPath, KAFKA_PACKAGES, kafkaMissing, obtainKafka, startBroker } from "./kafka-broker.ts";
import { startNode } from "./node-process.ts";

/** Prints a line with partition and time for every message. The clock of `System.nanoTime()` is that of `hostNowMs()` on Linux. */
const MEMBER = `
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Member {
  public static void main(String[] args) throws Exception {
    String url = args[0], group = args[1], topic = args[2], id = args[3];
    if (!args[4].isEmpty()) limit(url, group, args[4], args[5]);
    Properties config = new Properties();
    config.put("bootstrap.servers", url);
    config.put("group.id", group);
    config.put("client.id", id);
    config.put("group.protocol", "consumer");
    config.put("auto.offset.reset", "latest");
    config.put("key.deserializer", StringDeserializer.class.getName());
    config.put("value.deserializer", StringDeserializer.class.getName());
    KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config);
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      consumer.wakeup();
      try { main.join(); } catch (InterruptedException e) { }
    }));
    try {
      consumer.subscribe(List.of(topic));
      while (true) {
        StringBuilder lines = new StringBuilder();
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100)))
          lines.append(record.partition()).append(' ').append(System.nanoTime() / 1e6).append('\\n');
        System.out.print(lines);
        System.out.flush();
      }
    } catch (WakeupException leaving) {
    } finally {
      consumer.close();
    }
  }

  static void limit(String url, String group, String sessionMs, String heartbeatMs) throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", url))) {
      ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
      admin.incrementalAlterConfigs(Map.of(resource, List.of(
        set("consumer.session.timeout.ms", sessionMs),
        set("consumer.heartbeat.interval.ms", heartbeatMs)))).all().get();
    }
  }

  static AlterConfigOp set(String name, String value) {
    return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
  }
}
`;
const STDERR_KEPT = 4_000;

interface Timing {
  readonly sessionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Set for the group; otherwise these are the broker's defaults. */
  readonly isSet: boolean;
}

function javaWith(system: string, timing: Timing, note: string): GroupPeer {
  const { sessionTimeoutMs, heartbeatMs } = timing;
  let folder = "";
  return {
    system,
    client: `kafka-clients (Java), group.protocol=consumer, session timeout ${sessionTimeoutMs} ms (${note}), heartbeat ${heartbeatMs} ms`,
    sessionTimeoutMs,
    packages: KAFKA_PACKAGES,
    missing: () =>
      kafkaMissing() ??
      (findProgram("javac") === null ? "no program javac (Debian: default-jdk-headless)" : undefined),
    obtain: obtainKafka,
    async startServer(dir, partitions, signal) {
      folder = compiledMember(dir);
      return startBroker(dir, partitions, signal);
    },
    startProducer: (task, on) => startNode("producer", { role: "kafka-producer", ...task }, on),
    startMember: (task, on) => startJava(folder, task, timing, on),
  };
}

/** Returns the folder of the class. */
function compiledMember(dir: string): string {
  const folder = join(dir, "member");
  const file = join(folder, "Member.java");
  if (existsSync(file)) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, MEMBER);
  const { status, stderr } = spawnSync("javac", ["-cp", classPath(), "-d", folder, file], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`javac failed: ${stderr}`);
  return folder;
}

function startJava(folder: string, task: MemberTask, timing: Timing, on: MemberListener): MemberProcess {
  const { url, group, id } = task;
  const limits = timing.isSet ? [String(timing.sessionTimeoutMs), String(timing.heartbeatMs)] : ["", ""];
  const child = spawn(
    "java",
    [
      "-Xmx128m",
      "-XX:+UseSerialGC",
      "-cp",
      `${folder}:${classPath()}`,
      "Member",
      url,
      group,
      TOPIC,
      id,
      ...limits,
    ],
    { stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  return new JavaProcess(id, child, on);
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

class JavaProcess implements MemberProcess {
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  #stderr = "";

  constructor(id: string, child: ChildProcess, on: MemberListener) {
    this.#child = child;
    running.add(child);
    let rest = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      on.consumed(lines.map((line) => line.split(" ").map(Number) as [number, number]));
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    child.once("error", (error) => on.failed(`${id}: ${error.message}`));
    this.exited = new Promise((resolve) => {
      child.once("close", () => {
        running.delete(child);
        resolve();
      });
    });
  }

  get stderr(): string {
    return this.#stderr.trim();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }
}

export const kafkaJava: GroupPeer = javaWith(
  "kafka-java",
  { sessionTimeoutMs: 45_000, heartbeatMs: 5_000, isSet: false },
  "default",
);
export const kafkaJavaShort: GroupPeer = javaWith(
  "kafka-java-6s",
  { sessionTimeoutMs: 6_000, heartbeatMs: 2_000, isSet: true },
  "set for the group; a broker allows less than 45 s only if it is configured to",
);
