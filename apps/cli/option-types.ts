/** The kinds of values that options take. Each refuses what it cannot read, with the allowed range. */
import { type Option, UsageError } from "./option.ts";

export const flag = (help: string): Option<true> => ({ help, parse: () => true });

export const text = (value: string, help: string): Option<string> => ({
  value,
  help,
  parse: (given) => given,
});

/** A text each time that it is given. */
export const texts = (value: string, help: string): Option<readonly string[]> => ({
  value,
  help,
  isList: true,
  parse: (given) => [given],
});

export const choice = <const C extends string>(choices: readonly C[], help: string): Option<C> => ({
  value: choices.join("|"),
  help,
  parse: (given, name) => {
    const known = choices.find((candidate) => candidate === given);
    if (known !== undefined) return known;
    throw wrong(name, given, `one of ${choices.join(", ")}`);
  },
});

export const number = (low: number, high: number, help: string): Option<number> => ({
  value: "X",
  help,
  parse: (given, name) => {
    const value = given.trim() === "" ? Number.NaN : Number(given);
    if (value >= low && value <= high) return value;
    throw wrong(name, given, `a number from ${low} to ${high}`);
  },
});

export const integer = (low: number, high: number, help: string): Option<number> => ({
  value: "N",
  help,
  parse: (given, name) => {
    const value = /^[+-]?\d+$/.test(given) ? Number(given) : Number.NaN;
    if (value >= low && value <= high) return value;
    const most = high === Number.MAX_SAFE_INTEGER ? `of ${low} or more` : `from ${low} to ${high}`;
    throw wrong(name, given, `an integer ${most}`);
  },
});

/** Integers separated by commas, at least one. */
export const integers = (low: number, high: number, help: string): Option<readonly number[]> => ({
  value: "N,N,…",
  help,
  parse: (given, name) => {
    const one = integer(low, high, help);
    return given.split(",").map((part) => one.parse(part.trim(), name));
  },
});

/** Numbers separated by commas, at least one. */
export const numbers = (low: number, high: number, help: string): Option<readonly number[]> => ({
  value: "X,X,…",
  help,
  parse: (given, name) => {
    const one = number(low, high, help);
    return given.split(",").map((part) => one.parse(part.trim(), name));
  },
});

const BYTE_UNITS: Readonly<Record<string, number>> = { "": 1, K: 1e3, M: 1e6, G: 1e9 };

/** `1.5e9`, `1500M` or `1.5G`; units are powers of 1,000. */
export const bytes = (help: string): Option<number> => ({
  value: "BYTES",
  help,
  parse: (given, name) => {
    const match = /^(\d+(?:\.\d+)?(?:e\d+)?)([KMG]?)$/i.exec(given);
    const value = match ? Math.floor(Number(match[1]) * BYTE_UNITS[match[2].toUpperCase()]) : 0;
    if (value >= 1 && Number.isSafeInteger(value)) return value;
    throw wrong(name, given, "a number of bytes above 0, such as 1500000000, 1.5e9, 1500M or 1.5G");
  },
});

const wrong = (name: string, given: string, allowed: string): UsageError =>
  new UsageError(`${name} is ${JSON.stringify(given)}, it must be ${allowed}; change the value`);
