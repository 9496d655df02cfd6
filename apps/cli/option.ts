/**
 * Options of a command as data: how each is written, explained and read. Owns the messages for
 * wrong arguments; knows no command.
 */
import { parseArgs } from "node:util";

/** Bad usage, exit status 2. The message says what, actual, allowed and cure. */
export class UsageError extends Error {}

export interface Option<T> {
  /** What stands after the option, e.g. `N`; a switch has none. */
  readonly value?: string;
  readonly help: string;
  /** May be given more than once; its value is a list. */
  readonly isList?: true;
  /** Runs before any value is used. @throws {UsageError} */
  parse(text: string, name: string): T;
}

export type Options = Readonly<Record<string, Option<unknown>>>;
export type OptionValues<O extends Options> = {
  readonly [K in keyof O]?: O[K] extends Option<infer T> ? T : never;
};

/** `maxTokens` to `--max-tokens`. */
export const optionName = (key: string): string =>
  `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** @throws {UsageError} */
export function parseOptions<O extends Options>(
  args: readonly string[],
  options: O,
): OptionValues<O> {
  const keys = new Map(Object.keys(options).map((key) => [optionName(key), key]));
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      [...keys].map(([name, key]) => [
        name.slice(2),
        { type: options[key].value === undefined ? "boolean" : "string" },
      ]),
    ),
    strict: false,
    tokens: true,
  });
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      throw new UsageError(
        `unexpected argument ${JSON.stringify(token.value)}; every value belongs to an option, ` +
          `one of ${[...keys.keys()].join(", ")}; quote a value that has spaces`,
      );
    }
    const { rawName: name, value } = token;
    const key = keys.get(name);
    if (key === undefined) throw unknown("option", name, [...keys.keys()]);
    const option = options[key];
    if (key in values && !option.isList) {
      throw new UsageError(`${name} is given twice; give it once`);
    }
    if (option.value === undefined) {
      if (value !== undefined) {
        throw new UsageError(`${name} is a switch and takes no value, got ${value}; leave it out`);
      }
    } else if (value === undefined) {
      throw new UsageError(`${name} has no value; write ${name} ${option.value}`);
    } else if (!token.inlineValue && keys.has(value.split("=")[0])) {
      throw new UsageError(
        `${name} has no value: ${value} is an option; write ${name} ${option.value}, ` +
          `or ${name}=${value} if you mean that text`,
      );
    }
    const parsed = option.parse(value ?? "", name);
    const before = (values[key] ?? []) as readonly unknown[];
    values[key] = option.isList ? [...before, ...(parsed as readonly unknown[])] : parsed;
  }
  return values as OptionValues<O>;
}

/** @throws {UsageError} when it was not given. */
export function required<T>(value: T | undefined, name: string, example: string): T {
  if (value !== undefined) return value;
  throw new UsageError(`${name} is missing; add it, for example ${name} ${example}`);
}

export function unknown(what: string, name: string, known: readonly string[]): UsageError {
  const near = known
    .map((candidate) => ({ candidate, steps: editSteps(name, candidate) }))
    .sort((a, b) => a.steps - b.steps)[0];
  const meant = near && near.steps <= 2 ? `did you mean ${near.candidate}? ` : "";
  return new UsageError(`unknown ${what} ${name}; ${meant}Known: ${known.join(", ")}`);
}

/** Levenshtein distance. */
function editSteps(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
