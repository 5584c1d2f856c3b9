/** Log lines in JSON on stderr, each with the id and the number of the instance. `Group` writes its own lines through it. */

export interface Log {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

export function openLog(instance: string, number: number): Log {
  const line =
    (level: string) =>
    (fields: object, message?: string): void => {
      const line = {
        time: new Date().toISOString(),
        level,
        instanceId: instance,
        instanceNumber: number,
        ...fields,
        msg: message,
      };
      process.stderr.write(
        `${JSON.stringify(line, (_, value: unknown) => (value instanceof Error ? describe(value) : value))}\n`,
      );
    };
  return { debug: () => {}, info: line("info"), warn: line("warn"), error: line("error") };
}

function describe(error: Error): object {
  return {
    name: error.name,
    message: error.message,
    code: (error as { code?: unknown }).code,
    stack: error.stack,
  };
}
