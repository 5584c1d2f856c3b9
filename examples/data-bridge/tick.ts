/** A tick, and what the bridge does to it. */
/** One price of one symbol. `n` counts the ticks of the symbol from 1: key and position together name the tick. */
export interface Tick {
  readonly symbol: string;
  readonly n: number;
  readonly price: number;
}

/** @throws Error for bytes that are no tick with a key: such a message can only become a dead letter. */
export function decodeTick(data: Uint8Array): Tick {
  const value = JSON.parse(new TextDecoder().decode(data)) as Partial<Tick> | null;
  const { symbol, n, price } = value ?? {};
  if (typeof symbol !== "string" || !/^[A-Za-z0-9_-]{1,32}$/.test(symbol))
    throw new Error("it has no symbol");
  if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 1) throw new Error("it has no position n");
  return { symbol, n, price: price as number };
}

/** The work of the bridge: here a check and a rounding; in a real one, whatever your ticks need. Throws for a tick that it cannot use. */
export async function work(data: Uint8Array): Promise<Tick> {
  const tick = decodeTick(data);
  if (typeof tick.price !== "number" || !Number.isFinite(tick.price))
    throw new Error(`the price is ${String(tick.price)}`);
  return { ...tick, price: Math.round(tick.price * 100) / 100 };
}
