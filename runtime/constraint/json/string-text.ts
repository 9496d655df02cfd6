/** Strings that fit a schema, with their quotes. */
import { type Expr, NEVER, repeat, rule, sequence, text } from "../grammar.ts";
import { parseRegex } from "../parse-regex.ts";
import { countOf } from "./count.ts";
import { charInString } from "./json-text.ts";
import { refused, type Schema } from "./schema.ts";
import { FORMATS } from "./string-formats.ts";

export function stringText(schema: Schema, path: string): Expr {
  const { pattern, format, minLength, maxLength } = schema;
  if (pattern !== undefined && format !== undefined)
    throw refused("format", path, "cannot stand beside pattern");
  const isCounted = minLength !== undefined || maxLength !== undefined;
  if (isCounted && (pattern ?? format) !== undefined) {
    const [keyword, other] = [
      minLength === undefined ? "maxLength" : "minLength",
      pattern === undefined ? "format" : "pattern",
    ];
    throw refused(keyword, path, `cannot stand beside ${other}`);
  }
  if (pattern !== undefined) return matching(pattern, "pattern", path, true);
  if (format !== undefined) return ofFormat(format, path);
  if (!isCounted) return rule("string");
  const min = countOf(schema, "minLength", path) ?? 0;
  const max = countOf(schema, "maxLength", path);
  if (max !== undefined && max < min) return NEVER;
  return sequence(text('"'), repeat(rule("char"), min, max), text('"'));
}

function ofFormat(format: unknown, path: string): Expr {
  const pattern = FORMATS.get(String(format));
  if (pattern !== undefined) return matching(pattern, "format", path, false);
  throw refused(
    "format",
    path,
    `is ${JSON.stringify(format)}; known are ${[...FORMATS.keys()].join(", ")}`,
  );
}

function matching(pattern: unknown, keyword: string, path: string, isSearch: boolean): Expr {
  if (typeof pattern !== "string") throw refused(keyword, path, "is no text");
  const where = `the schema's keyword ${JSON.stringify(keyword)} at ${path}`;
  const inside = parseRegex(pattern, { isSearch, write: charInString, where });
  return sequence(text('"'), inside, text('"'));
}
