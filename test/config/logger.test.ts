import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { type Logger as PinoLogger, pino } from "pino";
import { expect, test, vi } from "vitest";
import { ClusterError } from "../../src/errors.ts";
import { jsonLine } from "../../src/log/json-lines.ts";
import { createLogger, type Logger } from "../../src/log/logger.ts";
import { redact, redactText, redactUrl } from "../../src/log/redact.ts";
import { FAKE_SEED } from "../support/config/refused-options.ts";

interface Line {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string | undefined;
}

function recorder(): Logger & { readonly lines: Line[] } {
  const lines: Line[] = [];
  const method = (level: string) => (fields: object, message?: string) => {
    lines.push({ level, fields: fields as Record<string, unknown>, message });
  };
  return {
    lines,
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
  };
}

const PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----";
const JWT = "eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJYIn0.c2lnbmF0dXJl";

const TEXTS: readonly (readonly [string, string])[] = [
  ["nothing secret", "nothing secret"],
  ["no connection to nats://me:pw@host:4222: refused", "no connection to nats://***@host:4222: refused"],
  ["nats://me:p@ss/w:rd@host", "nats://***@host"],
  ['tls://me:"quoted"@host', "tls://***@host"],
  ["nats://token@a and nats://b", "nats://***@a and nats://b"],
  ["nats://a:1,nats://me:pw@b:2", "nats://***@b:2"],
  [`seed ${FAKE_SEED}.`, "seed ***."],
  [`bearer ${JWT}`, "bearer ***"],
  [`key ${PRIVATE_KEY} end`, "key *** end"],
  ["-----BEGIN EC PRIVATE KEY-----\ncut off", "***"],
  ["mail me@example.org", "mail me@example.org"],
];

test.each(TEXTS)("the text %j is logged as %j", (text, expected) => {
  expect(redactText(text)).toBe(expected);
});

const JWT_TEXTS: readonly (readonly [string, string])[] = [
  [`-eyJa-${JWT}`, "-***"],
  [`x.${JWT}.rest`, "x.***.rest"],
  [`${JWT}.${JWT}`, "***.***"],
  ["eyJ0eXAi.eyJqdGki.", "***"],
  ["a file eyJ.eyJ.txt", "a file eyJ.eyJ.txt"],
  ["keyJar.name.txt", "keyJar.name.txt"],
];

test.each(JWT_TEXTS)("a JWT is found inside other text: %j becomes %j", (text, expected) => {
  expect(redactText(text)).toBe(expected);
});

test("a text of more than 64 Ki characters is cut, and no secret is torn by the cut", () => {
  const secrets = [FAKE_SEED, JWT, "nats://me:Xq7Zk9Xq7Zk9@host:4222"];
  for (const secret of secrets) {
    for (let shown = 1; shown < secret.length; shown++) {
      const before = "word ".repeat(20_000).slice(0, 65_536 - shown - 1);
      const text = redactText(`${before} ${secret} end`);
      expect(text).toMatch(/ [word]{1,4} +\.\.\. \[\d+ characters\]$/);
      expect(text.length).toBeLessThan(66_000);
    }
  }
});

test("an object whose parts refer to each other is copied in bounded time", () => {
  let nested: object = {};
  for (let level = 0; level < 6; level++) nested = Object.fromEntries(Array(100).fill(nested).entries());
  expect(JSON.stringify(redact(nested)).length).toBeLessThan(500_000);
});

test("a field named __proto__ is copied as a field", () => {
  const copied = redact(JSON.parse('{"__proto__":{"polluted":"nats://me:pw@host"}}')) as object;
  expect(Object.getPrototypeOf(copied)).toBe(Object.prototype);
  expect(JSON.stringify(copied)).toBe('{"__proto__":{"polluted":"nats://***@host"}}');
});

const URLS: readonly (readonly [string, string])[] = [
  ["nats://host:4222", "nats://host:4222"],
  ["nats://me:pw@host:4222", "nats://***@host:4222"],
  ["nats://me:p@ss@host", "nats://***@host"],
  ["me:pw@host", "***@host"],
  [" tls://token@host", " tls://***@host"],
  ["nats://me:p w\n@host", "nats://***@host"],
];

test.each(URLS)("the url %j is shown as %j", (url, expected) => {
  expect(redactUrl(url)).toBe(expected);
});

test("neither redaction shows a password in a url, whatever its characters", () => {
  const password = fc.stringMatching(/^[!-~]{0,10}Xq7Zk9[!-~]{0,10}$/);
  fc.assert(
    fc.property(password, (secret) => {
      const url = `nats://me:${secret}@host:4222`;
      expect(redactUrl(url)).toBe("nats://***@host:4222");
      expect(redactText(`dialling ${url} failed`)).toBe("dialling nats://***@host:4222 failed");
    }),
  );
});

test("values of secret names are hidden at any depth; numbers and all other values pass", () => {
  const fields = {
    nats: { user: "me", pass: "pw", nkeySeed: "s", creds: new Uint8Array(3), jwt: ["x"], auth_token: "t" },
    servers: ["nats://me:pw@a"],
    token: 7,
    key: "leader",
    seed: undefined,
    bytes: new Uint8Array(3),
    big: 5n,
    when: new Date(0),
    map: new Map([["password", "x"]]),
    set: new Set([1]),
    nothing: null,
  };
  expect(redact(fields)).toEqual({
    nats: { user: "me", pass: "***", nkeySeed: "***", creds: "***", jwt: "***", auth_token: "***" },
    servers: ["nats://***@a"],
    token: 7,
    key: "leader",
    bytes: "[3 bytes]",
    big: "5",
    when: new Date(0),
    map: { password: "***" },
    set: [1],
    nothing: null,
  });
  expect(fields.nats.pass).toBe("pw");
});

test("no string under a secret name reaches the log, at any depth", () => {
  const name = fc.constantFrom("pass", "token", "nkeySeed", "creds", "jwt", "Password", "nkey_seed");
  const path = fc.array(fc.constantFrom("nats", "options", "0"), { maxLength: 4 });
  fc.assert(
    fc.property(name, path, (secretName, names) => {
      const fields = names.reduce<object>((inner, outer) => ({ [outer]: inner }), { [secretName]: "Xq7Zk9" });
      const sink = recorder();
      createLogger({ logger: sink }).info(fields, "hello");
      expect(JSON.stringify(sink.lines)).not.toContain("Xq7Zk9");
      expect(JSON.stringify(sink.lines)).toContain("***");
    }),
  );
});

test("circular and very deep values are cut off", () => {
  const loop: Record<string, unknown> = { name: "loop" };
  loop["self"] = loop;
  expect(redact(loop)).toEqual({ name: "loop", self: "[circular]" });
  const deep = Array.from({ length: 20 }).reduce<object>((inner) => ({ inner }), {});
  expect(JSON.stringify(redact(deep))).toContain("[too deep]");
});

test("an error stays an error of its class, without the secrets in its message, stack, cause and fields", () => {
  const cause = new Error("dial nats://me:pw@a");
  const error = new ClusterError("NO_CONNECTION", "no nats://me:pw@a", { cause, recoverable: true });
  const copy = redact(error) as ClusterError;
  expect(copy).toBeInstanceOf(ClusterError);
  expect(copy).toMatchObject({
    name: "ClusterError",
    code: "NO_CONNECTION",
    recoverable: true,
    message: "no nats://***@a",
  });
  expect(copy.stack).toContain("logger.test.ts");
  expect(copy.stack).not.toContain("pw");
  expect((copy.cause as Error).message).toBe("dial nats://***@a");
  expect(error.message).toBe("no nats://me:pw@a");
});

test("a child adds its bindings to every line", () => {
  const sink = recorder();
  const logger = createLogger({ logger: sink }).child({ cluster: "c", node: "a" });
  logger.child({ incarnation: "i1" }).warn({ epoch: 3 }, "suspended");
  logger.debug({});
  expect(sink.lines).toEqual([
    {
      level: "warn",
      fields: { cluster: "c", node: "a", incarnation: "i1", epoch: 3 },
      message: "suspended",
    },
    { level: "debug", fields: { cluster: "c", node: "a" }, message: undefined },
  ]);
});

test("an error in place of the fields is logged as err", () => {
  const sink = recorder();
  createLogger({ logger: sink }).error(new Error("boom"), "failed");
  expect(sink.lines[0]?.fields["err"]).toBeInstanceOf(Error);
});

test("pino can be passed as it is, and writes errors with their stack", () => {
  const lines: string[] = [];
  const sink: PinoLogger = pino({ level: "info" }, { write: (line: string) => lines.push(line) });
  const logger = createLogger({ logger: sink }).child({ node: "a" });
  logger.debug({}, "not written");
  logger.info({ err: new ClusterError("TIMEOUT", "nats://me:pw@a") }, "hello");
  expect(lines).toHaveLength(1);
  const line = JSON.parse(lines[0] ?? "") as { node: string; msg: string; err: Record<string, string> };
  expect(line).toMatchObject({
    node: "a",
    msg: "hello",
    err: { type: "ClusterError", message: "nats://***@a" },
  });
  expect(line.err["stack"]).toContain("logger.test.ts");
});

test("the built-in logger formats a line as pino does", () => {
  const lines: string[] = [];
  const sink = pino({ name: "nats-leader", level: "debug" }, { write: (line: string) => lines.push(line) });
  const cause = new TypeError("inner", { cause: new RangeError("innermost") });
  const fields: readonly (readonly [object, string?])[] = [
    [{ a: 1, b: [true, null, "ä\n"], c: { d: undefined, e: new Date(0) } }, "hello"],
    [{ err: new ClusterError("TIMEOUT", "outer", { cause }) }],
    [{ err: new AggregateError([new Error("one"), new Error("two")], "both"), epoch: 3 }, "failed"],
    [{ err: Object.assign(new Error("refused"), { code: "ECONNREFUSED" }), level: "x" }, "text"],
  ];
  for (const [line, message] of fields) sink.warn(line, message);
  const own = fields.map(([line, message]) => JSON.parse(jsonLine("warn", line, message)) as object);
  const time = expect.any(Number);
  expect(own).toEqual(lines.map((line) => ({ ...(JSON.parse(line) as object), time })));
});

test("a level that is off costs no redaction", () => {
  const sink = pino({ level: "error" }, { write: () => {} });
  const getter = vi.fn(() => "x");
  createLogger({ logger: sink }).debug({
    get expensive() {
      return getter();
    },
  });
  expect(getter).not.toHaveBeenCalled();
});

test("the first error that a logger throws is reported as a warning, and no call fails", () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const logger = createLogger({
    logger: {
      ...recorder(),
      info() {
        throw new Error("disk full, nats://me:pw@a");
      },
    },
  });
  logger.info({}, "one");
  logger.info({}, "two");
  expect(warned).toHaveBeenCalledTimes(1);
  expect(String(warned.mock.calls[0]?.[0])).toContain("disk full, nats://***@a");
  warned.mockRestore();
});

const MODULE = fileURLToPath(new URL("../../src/log/logger.ts", import.meta.url));

/** Runs a script with `createLogger` in scope in a process of its own. */
function run(
  script: string,
  env: Record<string, string> = {},
): { stdout: string; lines: Record<string, unknown>[] } {
  const code = `const { createLogger } = await import(${JSON.stringify(MODULE)}); ${script}`;
  const { LOG_LEVEL: _, ...inherited } = process.env;
  const child = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    encoding: "utf8",
    env: { ...inherited, ...env },
    timeout: 20_000,
  });
  expect(child.status, child.stderr).toBe(0);
  const lines = child.stderr.split("\n").filter((line) => line !== "");
  return { stdout: child.stdout, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

const SAY_ALL =
  'const l = createLogger(); l.debug({}, "d"); l.info({}, "i"); l.warn({}, "w"); l.error({}, "e"); process.exit(0);';

const LEVELS: readonly (readonly [string | undefined, string])[] = [
  [undefined, "iwe"],
  ["debug", "diwe"],
  ["WARN", "we"],
  ["trace", "diwe"],
  ["verbose", "iwe"],
  ["silent", ""],
];

test.each(LEVELS)(
  "with LOG_LEVEL %s the built-in logger writes %j",
  (level, expected) => {
    const { stdout, lines } = run(SAY_ALL, level === undefined ? {} : { LOG_LEVEL: level });
    expect(stdout).toBe("");
    expect(lines.map((line) => line["msg"]).join("")).toBe(expected);
  },
  30_000,
);

test("lines logged before process.exit are on stderr, as JSON with their bindings", () => {
  const script =
    'const l = createLogger({ level: "info" }).child({ cluster: "c", node: "a", incarnation: "i" });' +
    'for (let i = 0; i < 100; i++) l.info({ i, pass: "pw" }, "x".repeat(200)); process.exit(0);';
  const { lines } = run(script);
  expect(lines).toHaveLength(100);
  expect(lines.at(-1)).toMatchObject({ cluster: "c", node: "a", incarnation: "i", i: 99, pass: "***" });
}, 30_000);

test("false and the level silent write nothing", () => {
  const script =
    'createLogger({ logger: false }).error({}, "x"); createLogger({ level: "silent" }).child({}).error({}, "x");';
  expect(run(script).lines).toEqual([]);
}, 30_000);
