/** One line of a trace. */
const WIDTH = 9;

/** `   1234 ms  a  <- tick`. `at` is `null`: the same moment as the line above. */
export function traceLine(at: number | null, who: string, text: string): string {
  const time = at === null ? "" : `${round(at)} ms`;
  return `${time.padStart(WIDTH)}  ${who.padEnd(2)} ${text}`.trimEnd();
}

/** To a tenth of a millisecond. */
export function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
