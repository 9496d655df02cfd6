/** Whether no value fits both of two schemas, as far as types, constants and a required property of both tell. */
import { isSchema, type Schema } from "./schema.ts";

export function areDisjoint(a: Schema, b: Schema): boolean {
  const [aValues, bValues] = [valuesOf(a), valuesOf(b)];
  if (aValues && bValues) return !aValues.some((value) => bValues.includes(value));
  const [aTypes, bTypes] = [typesOf(a, aValues), typesOf(b, bValues)];
  if (aTypes && bTypes && !aTypes.some((type) => bTypes.includes(type))) return true;
  if (!isOnlyObject(aTypes) || !isOnlyObject(bTypes)) return false;
  return requiredOf(a).some((name) => {
    const [own, other] = [propertyOf(a, name), propertyOf(b, name)];
    return requiredOf(b).includes(name) && own && other ? areDisjoint(own, other) : false;
  });
}

/** As JSON texts. */
function valuesOf(schema: Schema): string[] | undefined {
  if ("const" in schema) return [JSON.stringify(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map((value) => JSON.stringify(value)) : undefined;
}

function typesOf({ type }: Schema, values: readonly string[] | undefined): string[] | undefined {
  const given = values
    ? values.map((value) => jsonType(JSON.parse(value)))
    : type === undefined
      ? undefined
      : [type].flat();
  return given?.map((name) => (name === "integer" ? "number" : String(name)));
}

function jsonType(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

const isOnlyObject = (types: readonly string[] | undefined) => types?.join() === "object";

const requiredOf = ({ required }: Schema): unknown[] => (Array.isArray(required) ? required : []);

function propertyOf({ properties }: Schema, name: unknown): Schema | undefined {
  const own =
    isSchema(properties) && Object.hasOwn(properties, String(name))
      ? properties[String(name)]
      : undefined;
  return isSchema(own) ? own : undefined;
}
