/**
 * The last check of constrained JSON, by a validator that is not ours (ajv). It makes functions of schemas, which
 * a page's Content-Security-Policy may forbid: then there is no check, and the masks alone answer for the text.
 */
import type { Ajv, ErrorObject } from "ajv";
import { reasonOf } from "../errors.ts";

/** Draft 2020-12 unless the schema names an older one. */
const OLDER = /draft-0[4-7]/;

/**
 * @param schema One that a constraint was compiled from: nothing that is not data of JSON.
 * @returns what is wrong with the text, for a message; undefined when it fits or cannot be checked.
 */
export async function validateJson(schema: unknown, text: string): Promise<string | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `it is no JSON: ${reasonOf(error)}`;
  }
  if (typeof schema === "boolean") return schema ? undefined : "nothing fits the schema";
  if (!mayCompile()) return undefined;
  const ajv = await open(schema as object);
  const validate = ajv.compile(schema as object);
  return validate(value) ? undefined : describe(validate.errors ?? []);
}

async function open(schema: object): Promise<Ajv> {
  const { $schema } = schema as { $schema?: unknown };
  // Each an own instance: schemas of two requests may have the same $id.
  const options = { strict: false, validateFormats: false, logger: false } as const;
  if (OLDER.test(String($schema))) {
    const { default: module } = await import("ajv");
    return new (classOf<typeof Ajv>(module))(withoutName(options));
  }
  const { default: module } = await import("ajv/dist/2020.js");
  return new (classOf<typeof Ajv>(module))(withoutName(options)) as unknown as Ajv;
}

const withoutName = (options: object) => ({ ...options, validateSchema: false });

/** CommonJS behind one or two defaults, as the bundler likes it. */
const classOf = <T>(module: unknown): T => ((module as { default?: T }).default ?? module) as T;

function mayCompile(): boolean {
  try {
    return new Function("return true")() === true;
  } catch {
    return false;
  }
}

const describe = (errors: readonly ErrorObject[]): string =>
  errors
    .slice(0, 3)
    .map(({ instancePath, message }) => `${instancePath || "the whole"} ${message}`)
    .join("; ");
