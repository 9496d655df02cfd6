/**
 * A JSON Schema as a grammar of the texts that fit it. Properties come in the order in which the schema has them,
 * and an object that names its properties gets no others, unless `additionalProperties` asks for them. Every keyword
 * is enforced or refused by name.
 */
import { choice, type Expr, type Grammar, NEVER, rule } from "../grammar.ts";
import { arrayText } from "./array-text.ts";
import { areDisjoint } from "./disjoint.ts";
import { JSON_RULES, literal } from "./json-text.ts";
import { mergeSchemas } from "./merge-schemas.ts";
import { numberText } from "./number-text.ts";
import { objectText } from "./object-text.ts";
import {
  isSchema,
  type JsonType,
  KEYWORDS_OF,
  refused,
  refuseUnenforced,
  type Schema,
  TYPES,
} from "./schema.ts";
import type { SchemaContext } from "./schema-context.ts";
import { stringText } from "./string-text.ts";

const MAX_LENGTH = 256 * 1024;
const MAX_DEPTH = 64;
/** Schemas in it, those counted again that are put together with others where they are referred to. */
const MAX_SCHEMAS = 10_000;

/** @throws {WeftError} `bad_request` that names a keyword and its place. */
export function schemaGrammar(schema: unknown): Grammar {
  const rules = new Map<string, Expr>();
  rules.set("root", new SchemaReader(schema, rules).read());
  return { rules };
}

export class SchemaReader implements SchemaContext {
  readonly #root: unknown;
  readonly #rules: Map<string, Expr>;
  /** Of references: those of another schema lead elsewhere. */
  readonly #prefix: string;
  #depth = 0;
  #numSchemas = 0;

  /** @param rules Those of JSON are added, and the schema's own. @throws {WeftError} `bad_request`. */
  constructor(root: unknown, rules: Map<string, Expr>) {
    const length = JSON.stringify(root)?.length ?? 0;
    if (length > MAX_LENGTH) {
      throw refused("$schema", "#", `begins a schema of ${length} characters, above ${MAX_LENGTH}`);
    }
    this.#root = root;
    this.#rules = rules;
    for (const [name, expr] of JSON_RULES) rules.set(name, expr);
    this.#prefix = `ref ${rules.size}`;
  }

  read(): Expr {
    return this.inside(this.#root, "#");
  }

  newRule(expr: Expr): Expr {
    const name = `part ${this.#rules.size}`;
    this.#rules.set(name, expr);
    return rule(name);
  }

  inside(schema: unknown, path: string): Expr {
    if (schema === true) return rule("value");
    if (schema === false) return NEVER;
    if (!isSchema(schema)) throw refused(path.split("/").at(-1)!, path, "is no schema");
    if (++this.#numSchemas > MAX_SCHEMAS) {
      throw refused("$ref", path, `makes more than ${MAX_SCHEMAS} schemas of this one`);
    }
    if (++this.#depth > MAX_DEPTH)
      throw refused("properties", path, `is nested deeper than ${MAX_DEPTH}`);
    const expr = this.#ofOne(schema, path);
    this.#depth--;
    return expr;
  }

  #ofOne(schema: Schema, path: string): Expr {
    refuseUnenforced(schema, path);
    const { $ref, allOf, anyOf, oneOf, ...rest } = schema;
    if ($ref !== undefined) {
      const others = { allOf, anyOf, oneOf, ...rest };
      return hasRules(others)
        ? this.inside(mergeSchemas(withoutUndefined(others), this.#resolve($ref, path), path), path)
        : this.#reference($ref, path);
    }
    if (allOf !== undefined) {
      const parts = listOf(allOf, "allOf", path).map((part) => this.#plain(part, path));
      const own = withoutUndefined({ anyOf, oneOf, ...rest });
      return this.inside(
        parts.reduce((all, part) => mergeSchemas(all, part, `${path}/allOf`), own),
        path,
      );
    }
    if (anyOf !== undefined && oneOf !== undefined)
      throw refused("oneOf", path, "cannot stand beside anyOf");
    if (anyOf !== undefined) return this.#branches(anyOf, "anyOf", rest, path);
    if (oneOf !== undefined) return this.#branches(oneOf, "oneOf", rest, path);
    if ("const" in schema) return this.#values([schema.const], schema, "const", path);
    if ("enum" in schema) {
      return this.#values(listOf(schema.enum, "enum", path), schema, "enum", path);
    }
    return choice(...typesOf(schema, path).map((type) => this.#ofType(type, schema, path)));
  }

  #branches(list: unknown, keyword: string, rest: Schema, path: string): Expr {
    const branches = listOf(list, keyword, path);
    if (keyword === "oneOf") this.#refuseOverlap(branches, path);
    return choice(
      ...branches.map((branch, i) => {
        const at = `${path}/${keyword}/${i}`;
        if (!hasRules(rest) || typeof branch === "boolean") return this.inside(branch, at);
        return this.inside(mergeSchemas(rest, this.#plain(branch, at), at), at);
      }),
    );
  }

  /** A value that fits two branches fits no oneOf. */
  #refuseOverlap(branches: readonly unknown[], path: string): void {
    const plain = branches.map((branch, i) => this.#plain(branch, `${path}/oneOf/${i}`));
    for (const [i, a] of plain.entries()) {
      if (plain.slice(i + 1).some((b) => !areDisjoint(a, b))) {
        throw refused(
          "oneOf",
          path,
          "has branches that one value may fit together: give them different types, or a required property " +
            "with a different const in each, or use anyOf",
        );
      }
    }
  }

  #values(values: readonly unknown[], schema: Schema, keyword: string, path: string): Expr {
    const other = Object.values(KEYWORDS_OF)
      .flat()
      .find((name) => name in schema);
    if (other) throw refused(other, path, `cannot stand beside ${keyword}`);
    const types = schema.type === undefined ? undefined : typesOf(schema, path);
    const fitting = values.filter((value) => types?.some((type) => hasType(value, type)) ?? true);
    return choice(...fitting.map(literal));
  }

  #ofType(type: JsonType, schema: Schema, path: string): Expr {
    switch (type) {
      case "object":
        return objectText(schema, path, this);
      case "array":
        return arrayText(schema, path, this);
      case "string":
        return stringText(schema, path);
      case "number":
      case "integer":
        return numberText(type, schema, path);
      default:
        return type === "boolean" ? rule("boolean") : literal(null);
    }
  }

  /** Rules are named by where a reference leads, so schemas may be recursive. */
  #reference(ref: unknown, path: string): Expr {
    const name = `${this.#prefix} ${ref}`;
    if (!this.#rules.has(name)) {
      const target = this.#target(ref, path);
      this.#rules.set(name, NEVER);
      const depth = this.#depth;
      this.#depth = 0;
      this.#rules.set(name, this.inside(target, String(ref)));
      this.#depth = depth;
    }
    return rule(name);
  }

  /** A schema that is no mere reference. */
  #plain(schema: unknown, path: string): Schema {
    if (schema === true) return {};
    if (!isSchema(schema)) throw refused(path.split("/").at(-1)!, path, "is no schema");
    refuseUnenforced(schema, path);
    const { $ref, ...rest } = schema;
    return $ref === undefined ? schema : mergeSchemas(rest, this.#resolve($ref, path), path);
  }

  #resolve(ref: unknown, path: string): Schema {
    if (++this.#depth > MAX_DEPTH) throw refused("$ref", path, "leads back to itself");
    const target = this.#plain(this.#target(ref, path), String(ref));
    this.#depth--;
    return target;
  }

  #target(ref: unknown, path: string): unknown {
    if (typeof ref !== "string" || !/^#(\/|$)/.test(ref)) {
      throw refused(
        "$ref",
        path,
        `is ${JSON.stringify(ref)}: only a place in the same schema, like #/$defs/name, can be`,
      );
    }
    let at: unknown = this.#root;
    for (const part of ref.split("/").slice(1)) {
      const key = decoded(part);
      at =
        typeof at === "object" && at !== null && Object.hasOwn(at, key)
          ? (at as Schema)[key]
          : undefined;
    }
    if (at === undefined) throw refused("$ref", path, `leads to ${ref}, which is not there`);
    return at;
  }
}

function decoded(part: string): string {
  const plain = part.replaceAll("~1", "/").replaceAll("~0", "~");
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

function listOf(value: unknown, keyword: string, path: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0)
    throw refused(keyword, path, "is no list of one or more");
  return value;
}

/** Without a type, those that its keywords are about; all where there are none. */
function typesOf(schema: Schema, path: string): readonly JsonType[] {
  const { type } = schema;
  if (type !== undefined) {
    const types = Array.isArray(type) ? type : [type];
    for (const name of types) {
      if (!TYPES.includes(name))
        throw refused("type", path, `is ${JSON.stringify(name)}, no type of JSON`);
    }
    return types.includes("number") ? types.filter((name) => name !== "integer") : types;
  }
  const meant = Object.entries(KEYWORDS_OF)
    .filter(([, keywords]) => keywords.some((keyword) => keyword in schema))
    .map(([name]) => name as JsonType);
  return meant.length > 0 ? meant : ["object", "array", "string", "number", "boolean", "null"];
}

function hasType(value: unknown, type: JsonType): boolean {
  if (value === null) return type === "null";
  if (Array.isArray(value)) return type === "array";
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

const withoutUndefined = (schema: Schema): Schema =>
  Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined));

/** Whether anything of it decides which values fit. */
function hasRules(schema: Schema): boolean {
  const deciding = [
    "type",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    ...Object.values(KEYWORDS_OF).flat(),
  ];
  return deciding.some((keyword) => schema[keyword] !== undefined);
}
