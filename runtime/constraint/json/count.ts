/** The keywords that count: minLength, maxItems and the like. */
import { refused, type Schema } from "./schema.ts";

const MAX_COUNT = 10_000;

/** @throws {WeftError} `bad_request` for what is no count, or one that would make a grammar too large. */
export function countOf(schema: Schema, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_COUNT) {
    return Number(value);
  }
  throw refused(
    keyword,
    path,
    `is ${JSON.stringify(value)}, not a whole number up to ${MAX_COUNT}`,
  );
}
