/** Structural constraints as grammars: given words, JSON and free text between them. */
import { WeftError } from "../errors.ts";
import { freeUntil } from "./free-text.ts";
import {
  ALL_CHARS,
  choice,
  type Expr,
  type Grammar,
  repeat,
  rule,
  sequence,
  text,
} from "./grammar.ts";
import { SchemaReader } from "./json/schema-grammar.ts";
import { parseEbnf } from "./parse-ebnf.ts";
import { parseRegex } from "./parse-regex.ts";
import type { StructuralFormat, StructuralTag } from "./structural-tag.ts";

/** @throws {WeftError} `bad_request` that names a keyword of a schema, or a part of a regular expression. */
export function structuralGrammar(format: StructuralFormat): Grammar {
  const writer = new StructuralWriter();
  const rules = writer.rules;
  rules.set("root", writer.write(format));
  return { rules };
}

type Of<T extends StructuralFormat["type"]> = Extract<StructuralFormat, { type: T }>;

class StructuralWriter {
  readonly rules = new Map<string, Expr>();

  /** @param end What ends the tag that it is the content of, and is written after it. */
  write(format: StructuralFormat, end = ""): Expr {
    switch (format.type) {
      case "const_string":
        return sequence(text(format.value), text(end));
      case "regex": {
        const write = (ranges: typeof ALL_CHARS): Expr => ({ kind: "chars", ranges });
        const where = "the pattern of a tool call";
        return sequence(parseRegex(format.pattern, { isSearch: false, write, where }), text(end));
      }
      case "grammar":
        return sequence(this.#embedded(format.grammar), text(end));
      case "json_schema":
        return sequence(new SchemaReader(format.json_schema, this.rules).read(), text(end));
      case "any_text":
        if (end === "") return repeat({ kind: "chars", ranges: ALL_CHARS }, 0);
        return freeUntil(
          [end],
          () => text(""),
          false,
          () => this.#newRule(),
        );
      case "sequence":
        return sequence(...format.elements.map((element) => this.write(element)), text(end));
      case "or":
        return choice(...format.elements.map((element) => this.write(element, end)));
      case "tag":
        return sequence(this.#tag(format), text(end));
      case "tags_with_separator":
        return sequence(this.#separated(format), text(end));
      case "triggered_tags":
        return this.#triggered(format, end);
    }
  }

  /** Its rules get names of their own. */
  #embedded(source: string): Expr {
    const prefix = `${this.rules.size} `;
    const renamed = (expr: Expr): Expr => {
      if (expr.kind === "rule") return rule(prefix + expr.name);
      if (expr.kind === "sequence") return { ...expr, parts: expr.parts.map(renamed) };
      if (expr.kind === "choice") return { ...expr, options: expr.options.map(renamed) };
      return expr.kind === "repeat" ? { ...expr, of: renamed(expr.of) } : expr;
    };
    for (const [name, expr] of parseEbnf(source).rules) {
      this.rules.set(prefix + name, renamed(expr));
    }
    return rule(`${prefix}root`);
  }

  #tag({ begin, content, end }: StructuralTag): Expr {
    return sequence(text(begin), this.write(content, end));
  }

  #separated({ tags, separator, at_least_one, stop_after_first }: Of<"tags_with_separator">): Expr {
    const { rule: one, define } = this.#newRule();
    define(choice(...tags.map((tag) => this.#tag(tag))));
    const all = stop_after_first ? one : sequence(one, repeat(sequence(text(separator), one), 0));
    return at_least_one ? all : repeat(all, 0, 1);
  }

  #triggered({ triggers, tags, stop_after_first }: Of<"triggered_tags">, end: string): Expr {
    if (end !== "") throw new WeftError("internal", "free words inside a tag have no end");
    const { rule: words, define } = this.#newRule();
    const after = stop_after_first ? text("") : words;
    const rest = (trigger: string) =>
      choice(
        ...tags
          .filter(({ begin }) => begin.startsWith(trigger))
          .map((tag) =>
            sequence(this.#tag({ ...tag, begin: tag.begin.slice(trigger.length) }), after),
          ),
      );
    define(freeUntil(triggers, rest, true, () => this.#newRule()));
    return words;
  }

  #newRule(): { rule: Expr; define(expr: Expr): void } {
    const name = `words ${this.rules.size}`;
    this.rules.set(name, text(""));
    return { rule: rule(name), define: (expr) => this.rules.set(name, expr) };
  }
}
