// Validators of answers, generated from the types of the `openai` package. Making them takes a second or two,
// so they are kept in .cache under the package's version.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Ajv, type ValidateFunction } from "ajv";
import { VERSION } from "openai/version";

const ROOT = join(import.meta.dirname, "..", "..");
const FOLDER = join(ROOT, ".cache", "openai-schemas");

/** Where in the package each type is. */
const TYPES = {
  ChatCompletion: "chat/completions",
  ChatCompletionChunk: "chat/completions",
  Completion: "completions",
  CreateEmbeddingResponse: "embeddings",
  Model: "models",
  ErrorObject: "shared",
} as const;

export type TypeName = keyof typeof TYPES;

/** @returns What is wrong with a value; empty where it fits the type. */
export async function misfits(type: TypeName, value: unknown): Promise<string[]> {
  const { errors } = await validatorOf(type).then((validate) => {
    validate(value);
    return { errors: [...(validate.errors ?? [])] };
  });
  return errors.map(({ instancePath, message }) => `${type}${instancePath} ${message}`);
}

let ajv: Ajv | undefined;

async function validatorOf(type: TypeName): Promise<ValidateFunction> {
  if (!ajv) {
    // The package's types say more than JSON Schema knows: formats and keywords of their own.
    ajv = new Ajv({ strict: false, allErrors: true });
    ajv.addSchema(await schema(), "openai");
  }
  return ajv.getSchema(`openai#/definitions/${type}`)!;
}

async function schema(): Promise<object> {
  const path = join(FOLDER, `${VERSION}.json`);
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8"));
  mkdirSync(FOLDER, { recursive: true });
  const source = join(FOLDER, `${process.pid}.ts`);
  const lines = Object.entries(TYPES).map(
    ([name, place]) => `import type { ${name} } from "openai/resources/${place}";`,
  );
  const members = Object.keys(TYPES).map((name, i) => `_${i}: ${name};`);
  writeFileSync(source, `${lines.join("\n")}\nexport interface All { ${members.join(" ")} }\n`);
  // In a process of its own: seconds in which a server here would answer nobody.
  await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "--eval", GENERATE, source, join(ROOT, "tsconfig.json")],
    { cwd: ROOT },
  );
  renameSync(`${source}.json`, path);
  rmSync(source);
  return JSON.parse(readFileSync(path, "utf8"));
}

const GENERATE = `
  import { writeFileSync } from "node:fs";
  import { createGenerator } from "ts-json-schema-generator";
  const [, path, tsconfig] = process.argv;
  const options = { type: "All", skipTypeCheck: true, additionalProperties: true };
  const schema = createGenerator({ path, tsconfig, ...options }).createSchema("All");
  writeFileSync(path + ".json", JSON.stringify(schema));
`;
