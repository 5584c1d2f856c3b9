/** Whole numbers in command-line arguments. */
import { InvalidArgumentError } from "commander";

function parse(text: string, least: number): number | null {
  // Number("") is 0.
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) && value >= least ? value : null;
}

/** @throws `Error` that names the option. */
export function wholeNumber(option: string, text: string, least = 1): number {
  const value = parse(text, least);
  if (value !== null) return value;
  throw new Error(`--${option} must be a whole number of at least ${least}, not ${text}`);
}

/** Parser for an option of commander, which adds the option's name to the message. */
export function wholeNumberParser(least = 1): (text: string) => number {
  return (text) => {
    const value = parse(text, least);
    if (value !== null) return value;
    throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
  };
}
