/**
 * The last check of constrained JSON, by a validator that is not ours (ajv), in the constraints' worker: it makes
 * functions of schemas and runs their regular expressions, which may take for ever. Where a
 * Content-Security-Policy forbids to make functions, nothing is checked: the masks alone answer for the text.
 */
import type { Ajv, ErrorObject, Options } from "ajv";
import { reasonOf } from "../errors.ts";

const OPTIONS: Options = {
  strict: false,
  // Masks are narrower than the formats of the standards.
  validateFormats: false,
  validateSchema: false,
  logger: false,
};
const OLDER = /draft-0[4-7]/;

/**
 * @param schema One that a constraint was made of.
 * @returns what is wrong with the text, for a message; undefined when it fits, or cannot be checked.
 */
export async function validateJson(schema: unknown, text: string): Promise<string | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `it is no JSON: ${reasonOf(error)}`;
  }
  if (typeof schema !== "object" || schema === null || !mayMakeFunctions()) return undefined;
  const validate = await compiled(schema);
  return validate && !validate(value) ? described(validate.errors ?? []) : undefined;
}

/** Draft 2020-12, or what came before where the schema says so, or needs it. */
async function compiled(schema: object): Promise<ReturnType<Ajv["compile"]> | undefined> {
  const [older, newest] = await Promise.all([import("ajv"), import("ajv/dist/2020.js")]);
  const isOlder = OLDER.test(String((schema as { $schema?: unknown }).$schema));
  const classes = [...(isOlder ? [] : [newest]), older].map(classOf);
  for (const unicodeRegExp of [true, false]) {
    for (const Validator of classes) {
      try {
        // One for each: schemas of two requests may have the same $id.
        return new Validator({ ...OPTIONS, unicodeRegExp }).compile(schema);
      } catch {
        // Lists of items are of older drafts, and some escapes of patterns not of Unicode's.
      }
    }
  }
  return undefined;
}

type Class = new (options: Options) => Ajv;

/** Of a CommonJS module, behind one default or two, as the bundler likes it. */
function classOf(module: unknown): Class {
  const { default: inside } = module as { default: Class | { default: Class } };
  return typeof inside === "function" ? inside : inside.default;
}

function mayMakeFunctions(): boolean {
  try {
    return new Function("return true")() === true;
  } catch {
    return false;
  }
}

const described = (errors: readonly ErrorObject[]): string =>
  errors
    .slice(0, 3)
    .map(({ instancePath, message }) => `${instancePath || "the whole"} ${message}`)
    .join("; ");
