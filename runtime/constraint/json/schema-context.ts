/** What the texts of one type need of the others. */
import type { Expr } from "../grammar.ts";

export interface SchemaContext {
  /** The texts of a schema inside; `path` names it in errors. */
  inside(schema: unknown, path: string): Expr;
  /** @returns the rule, which may be used before it is defined. */
  newRule(expr: Expr): Expr;
}
