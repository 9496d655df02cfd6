/** A grammar without what can never be finished or reached: nobody is let into a way that has no end. */
import { WeftError } from "../errors.ts";
import { choice, type Expr, type Grammar, NEVER, repeat, sequence, text } from "./grammar.ts";

/** @throws {WeftError} `bad_request` where nothing is left. */
export function prune({ rules }: Grammar): Grammar {
  const finite = new Set<string>();
  const canEnd = (expr: Expr): boolean => {
    switch (expr.kind) {
      case "text":
        return true;
      case "chars":
        return expr.ranges.length > 0;
      case "rule":
        return finite.has(expr.name);
      case "sequence":
        return expr.parts.every(canEnd);
      case "choice":
        return expr.options.some(canEnd);
      case "repeat":
        return expr.min === 0 || canEnd(expr.of);
    }
  };
  for (let before = -1; before !== finite.size; ) {
    before = finite.size;
    for (const [name, expr] of rules) if (!finite.has(name) && canEnd(expr)) finite.add(name);
  }
  if (!finite.has("root")) {
    throw new WeftError(
      "bad_request",
      "the grammar or schema has no finite text: nothing fits it, or every way through it goes on for ever; " +
        "give it one that ends",
    );
  }
  const cut = (expr: Expr): Expr => {
    if (!canEnd(expr)) return NEVER;
    if (expr.kind === "sequence") return sequence(...expr.parts.map(cut));
    if (expr.kind === "choice") return choice(...expr.options.filter(canEnd).map(cut));
    if (expr.kind !== "repeat") return expr;
    return canEnd(expr.of) ? repeat(cut(expr.of), expr.min, expr.max) : text("");
  };
  const kept = new Map<string, Expr>();
  const keep = ["root"];
  for (const name of keep) {
    if (kept.has(name)) continue;
    const expr = cut(rules.get(name)!);
    kept.set(name, expr);
    keep.push(...rulesIn(expr));
  }
  return { rules: kept };
}

function rulesIn(expr: Expr): string[] {
  if (expr.kind === "rule") return [expr.name];
  if (expr.kind === "sequence") return expr.parts.flatMap(rulesIn);
  if (expr.kind === "choice") return expr.options.flatMap(rulesIn);
  return expr.kind === "repeat" ? rulesIn(expr.of) : [];
}
