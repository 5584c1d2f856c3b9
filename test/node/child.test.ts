import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const echo = "test/support/processes/children/echo.ts";

test("a child gets its arguments and environment, and answers line by line", async () => {
  await using child = spawnChild(echo, { args: ["a", "b"], env: { ECHO_ENV: "here" } });
  expect(await child.next((line) => "started" in line)).toEqual({ started: ["a", "b"], env: "here" });
  child.send({ n: 1 });
  child.send({ n: 2 });
  expect(await child.next((line) => "echo" in line)).toEqual({ echo: { n: 1 } });
  expect(await child.next((line) => "echo" in line)).toEqual({ echo: { n: 2 } });
});

test("a line that isn't JSON is kept as text", async () => {
  await using child = spawnChild(echo);
  child.send({ do: "stray" });
  expect(await child.next((line) => "text" in line)).toEqual({ text: "not JSON" });
});

test("the exit of a child can be awaited, and ends a wait for its next line", async () => {
  await using child = spawnChild(echo);
  child.send({ do: "exit" });
  await expect(child.next((line) => "never" in line)).rejects.toThrow("the child has ended");
  expect(await child.exit).toEqual({ code: 3, signal: null });
});

test("a child that fails shows its stderr in the error", async () => {
  await using child = spawnChild(echo);
  child.send({ do: "throw" });
  await expect(child.next((line) => "never" in line)).rejects.toThrow("on demand");
});

test("disposing kills a frozen child", async () => {
  const child = spawnChild(echo);
  await child.next((line) => "started" in line);
  child.kill("SIGSTOP");
  await child[Symbol.asyncDispose]();
  expect(await child.exit).toEqual({ code: null, signal: "SIGKILL" });
});

test("a child ends by itself when its parent was killed", async () => {
  await using parent = spawnChild<{ readonly pid?: number }>("test/support/processes/children/parent.ts");
  const { pid } = await parent.next((line) => line.pid !== undefined);
  if (pid === undefined) throw new Error("no pid");
  parent.kill("SIGKILL");
  await parent.exit;
  await waitFor(() => !alive(pid));
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
