/**
 * A call as Qwen3-Coder writes it: `<function=NAME><parameter=KEY>value</parameter></function>`. Values are
 * text; the tool's schema says which of them are JSON. One line break at both ends of a value is not its own.
 */
import type { IncomingText, Reading } from "./incoming-text.ts";
import { parsed } from "./json-reader.ts";
import type { PartWriter } from "./part-writer.ts";

export const XML = {
  function: "<function=",
  functionEnd: "</function>",
  parameter: "<parameter=",
} as const;

const PARAMETER_END = "</parameter>";
/** The last two, where a value's end was left out. */
const VALUE_ENDS = [PARAMETER_END, `\n${XML.parameter}`, `\n${XML.functionEnd}`];

/** @param schema Of the arguments of a tool. @returns A call was written. */
export function* readXmlCall(
  text: IncomingText,
  parts: PartWriter,
  schema: (name: string) => object | undefined,
): Reading<boolean> {
  if (!(yield* text.startsWith(XML.function))) return false;
  text.take(XML.function.length);
  const name = yield* readName(text);
  if (!name) return false;
  parts.call(name);
  parts.callArguments("{");
  const properties = field(schema(name), "properties");
  for (let joint = ""; ; joint = ", ") {
    yield* text.space();
    if (!(yield* text.startsWith(XML.parameter))) break;
    text.take(XML.parameter.length);
    const key = yield* readName(text);
    if (!key) return true;
    parts.callArguments(`${joint}${JSON.stringify(key)}: `);
    const whole = yield* readValue(text, parts, typesOf(field(properties, key)));
    if (!whole) return true;
  }
  const closed = yield* text.startsWith(XML.functionEnd);
  if (closed) text.take(XML.functionEnd.length);
  // An answer that was cut off leaves its arguments open.
  if (closed || text.rest !== "") parts.callArguments("}");
  return true;
}

/** Through `>`; undefined where there is none. */
function* readName(text: IncomingText): Reading<string | undefined> {
  const name = yield* text.run(/[^\s<>]/);
  if ((yield* text.peek()) !== ">") return undefined;
  text.take(1);
  return name;
}

/** @returns false where the text ended in it. */
function* readValue(
  text: IncomingText,
  parts: PartWriter,
  types: readonly string[],
): Reading<boolean> {
  if ((yield* text.peek()) === "\n") text.take(1);
  const isText = types.every((type) => type === "string");
  let value = "";
  const give = (piece: string) => {
    if (isText) parts.callArguments(JSON.stringify(piece).slice(1, -1));
    else value += piece;
  };
  if (isText) parts.callArguments('"');
  const found = yield* text.until(VALUE_ENDS, give);
  if (!found) {
    give("");
    parts.callArguments(value);
    return false;
  }
  if (found.marker !== PARAMETER_END) text.rest = found.marker + text.rest;
  give(found.marker === PARAMETER_END ? found.space.replace(/\r?\n$/, "") : found.space);
  parts.callArguments(isText ? '"' : asJson(value, types));
  return true;
}

const PYTHON: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null" };

/** What is not of the types is a string: the caller sees it as the model wrote it. */
function asJson(value: string, types: readonly string[]): string {
  const json = PYTHON[value.trim()] ?? value.trim();
  const found = parsed(json);
  const type = Array.isArray(found) ? "array" : found === null ? "null" : typeof found;
  const fits = types.includes(type) || (type === "number" && types.includes("integer"));
  return fits && type !== "string" ? json : JSON.stringify(value);
}

/** Of a value by its schema. One that does not say is an object, a list or a text; without a schema a text. */
export function typesOf(schema: unknown): string[] {
  if (schema === undefined) return ["string"];
  const options = [field(schema, "anyOf"), field(schema, "oneOf")].flat().filter(Boolean);
  const types = [field(schema, "type")].flat().filter((type) => typeof type === "string");
  const all = [...types, ...options.flatMap(typesOf)];
  return all.length > 0 ? all : ["object", "array", "string"];
}

export const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
