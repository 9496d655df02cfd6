/** What a request asks for, as a grammar. */
import { WeftError } from "../errors.ts";
import type { ConstraintSpec } from "./constraint.ts";
import { choice, type Grammar, text } from "./grammar.ts";
import { schemaGrammar } from "./json/schema-grammar.ts";
import { parseEbnf } from "./parse-ebnf.ts";
import { parseRegex } from "./parse-regex.ts";
import { prune } from "./prune.ts";
import { structuralGrammar } from "./structural-grammar.ts";

const MAX_CHOICES = 10_000;
const MAX_TEXT = 200_000;

/** @throws {WeftError} `bad_request` that says what cannot be enforced, and where. */
export function specGrammar(spec: ConstraintSpec): Grammar {
  return prune(grammarOf(spec));
}

function grammarOf(spec: ConstraintSpec): Grammar {
  switch (spec.type) {
    case "json_object":
      return schemaGrammar({ type: "object" });
    case "json_schema":
      return schemaGrammar(spec.schema);
    case "regex":
      return { rules: new Map([["root", regex(spec.pattern)]]) };
    case "choice":
      return { rules: new Map([["root", choices(spec.choices)]]) };
    case "grammar":
      if (typeof spec.grammar !== "string") throw bad("grammar is no text");
      return parseEbnf(spec.grammar);
    case "structural_tag":
      return structuralGrammar(spec.format);
    default:
      throw bad(
        `there is no constraint of type ${JSON.stringify((spec as { type: unknown }).type)}`,
      );
  }
}

function regex(pattern: unknown) {
  if (typeof pattern !== "string" || pattern.length > MAX_TEXT) {
    throw bad(`pattern must be a text of up to ${MAX_TEXT} characters`);
  }
  const write = (ranges: Parameters<Parameters<typeof parseRegex>[1]["write"]>[0]) =>
    ({ kind: "chars", ranges }) as const;
  return parseRegex(pattern, { isSearch: false, write, where: "pattern" });
}

function choices(given: unknown) {
  const isList = Array.isArray(given) && given.length > 0 && given.length <= MAX_CHOICES;
  if (!isList || given.some((option) => typeof option !== "string")) {
    throw bad(`choices must be a list of 1 to ${MAX_CHOICES} texts`);
  }
  // JSON writes a lone half of a surrogate pair as an escape, UTF-8 cannot.
  const odd = given.find((option: string) => /\p{Surrogate}/u.test(option));
  if (odd !== undefined) throw bad(`choice ${JSON.stringify(odd)} has half of a surrogate pair`);
  if (given.reduce((sum: number, option: string) => sum + option.length, 0) > MAX_TEXT) {
    throw bad(`choices have more than ${MAX_TEXT} characters together`);
  }
  return choice(...[...new Set(given as string[])].map(text));
}

const bad = (what: string) => new WeftError("bad_request", `${what}; change the request`);
