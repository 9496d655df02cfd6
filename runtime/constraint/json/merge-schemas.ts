/**
 * Two schemas that hold at once as one, where each keyword is in one of them, or the same in both. Properties are
 * put together, and so is what is required. Refuses what only a solver could join.
 */
import { isDescribing, refused, type Schema } from "./schema.ts";

/** @throws {WeftError} `bad_request` that names the keyword that both have. */
export function mergeSchemas(a: Schema, b: Schema, path: string): Schema {
  const merged: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    const other = a[keyword];
    if (other === undefined || isDescribing(keyword)) merged[keyword] = value;
    else if (keyword === "type") merged.type = commonTypes(other, value, path);
    else if (keyword === "required" && Array.isArray(other) && Array.isArray(value)) {
      merged.required = [...new Set([...other, ...value])];
    } else if (keyword === "properties") {
      merged.properties = mergeProperties(other as Schema, value as Schema, path);
    } else if (!isSame(other, value)) {
      throw refused(keyword, path, "is said twice, in different ways, of one value");
    }
  }
  // A closed object knows only the properties beside it.
  const closed = [a, b].find(
    (of) => of.additionalProperties !== undefined && of.additionalProperties !== true,
  );
  const other = closed === a ? b : a;
  if (closed && hasNewProperties(other, closed)) {
    throw refused(
      "additionalProperties",
      path,
      "cannot be put together with properties of another part",
    );
  }
  return merged;
}

function mergeProperties(a: Schema, b: Schema, path: string): Schema {
  const properties: Record<string, unknown> = { ...a };
  for (const [name, value] of Object.entries(b)) {
    if (Object.hasOwn(a, name) && !isSame(a[name], value)) {
      throw refused("properties", path, `has ${JSON.stringify(name)} twice, in different ways`);
    }
    Object.defineProperty(properties, name, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return properties;
}

function hasNewProperties({ properties }: Schema, closed: Schema): boolean {
  const known = (closed.properties ?? {}) as Schema;
  return Object.keys((properties ?? {}) as Schema).some((name) => !Object.hasOwn(known, name));
}

function commonTypes(a: unknown, b: unknown, path: string): unknown {
  const [first, second] = [a, b].map((type) => (Array.isArray(type) ? type : [type]));
  const common = first.flatMap((type) => {
    if (second.includes(type)) return [type];
    if (type === "integer" && second.includes("number")) return [type];
    return type === "number" && second.includes("integer") ? ["integer"] : [];
  });
  if (common.length === 0) throw refused("type", path, "leaves no type");
  return common;
}

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
