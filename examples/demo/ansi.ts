/** ANSI terminal codes used by the demo. */
const ESC = "\x1b[";

export type Paint = (text: string) => string;

function paint(codes: string): Paint {
  return (text) => (text === "" ? "" : `${ESC}${codes}m${text}${ESC}0m`);
}

export const bold: Paint = paint("1");
export const dim: Paint = paint("2");
export const red: Paint = paint("31");
export const green: Paint = paint("32");
/** One color per lane: for text, and for a solid bar with text on it. */
export const hues: readonly (readonly [text: Paint, bar: Paint])[] = [
  [paint("1;36"), paint("30;46")],
  [paint("1;33"), paint("30;43")],
  [paint("1;35"), paint("30;45")],
];

export const hideCursor: string = `${ESC}?25l`;
export const showCursor: string = `${ESC}?25h`;
export const clearScreen: string = `${ESC}2J${ESC}H`;

/** Overwrites the previous `height` lines; the cursor stays at the end of the last line. */
export function overwrite(lines: readonly string[], height: number): string {
  const up = height > 1 ? `${ESC}${height - 1}A` : "";
  return `${up}\r${lines.map((line) => `${line}${ESC}K`).join("\r\n")}${ESC}J`;
}
