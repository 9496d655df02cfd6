/**
 * The small files of a model: config.json, generation_config.json and what the tokenizer needs.
 * Owns reading and naming them; what a field of config.json means is known to models/.
 */
import { WeftError } from "../errors.ts";
import { type ModelFolder, readOptionalText, readText } from "./model-folder.ts";
import { parseJsonFile } from "./strict-json.ts";

/** What calibration has found for a model, if it was calibrated. */
export const LAYER_PLAN_FILE = "layer-plans.json";

type Json = Readonly<Record<string, unknown>>;

/** What generation_config.json recommends; a field is undefined where it says nothing. */
export interface GenerationConfig {
  /** Empty if neither this file nor config.json names one. */
  readonly eosTokenIds: readonly number[];
  readonly doSample?: boolean;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
}

/** Matches `TokenizerFiles` and `ChatTemplateFiles` of runtime/tokenizer. */
export interface TextFiles {
  /** tokenizer.json */
  readonly tokenizer: unknown;
  /** tokenizer_config.json; empty where there is none. */
  readonly tokenizerConfig: Json;
  /** chat_template.jinja */
  readonly chatTemplate: string | undefined;
}

export interface ModelFiles extends TextFiles {
  /** As it stands in the file. */
  readonly config: Json;
  readonly generation: GenerationConfig;
  /** 1_Pooling/config.json, as sentence-transformers writes it; empty where there is none. */
  readonly pooling: Json;
}

/** All at once, since each is a request of its own. @throws {WeftError} `file_not_found`, `bad_file`. */
export async function readModelFiles(
  folder: ModelFolder,
  signal?: AbortSignal,
): Promise<ModelFiles> {
  const [config, generation, pooling, text] = await Promise.all([
    readConfig(folder, signal),
    readOptionalJson(folder, GENERATION_CONFIG, signal),
    readOptionalJson(folder, POOLING_CONFIG, signal),
    readTextFiles(folder, signal),
  ]);
  return { config, generation: generationConfig(generation, config, folder), pooling, ...text };
}

/** config.json alone, for a look at a model without loading it. */
export async function readConfig(folder: ModelFolder, signal?: AbortSignal): Promise<Json> {
  return parseObject(await readText(folder, CONFIG, signal), CONFIG, folder);
}

async function readTextFiles(
  folder: ModelFolder,
  signal: AbortSignal | undefined,
): Promise<TextFiles> {
  const [tokenizer, tokenizerConfig, chatTemplate] = await Promise.all([
    readText(folder, TOKENIZER, signal),
    readOptionalJson(folder, TOKENIZER_CONFIG, signal),
    readOptionalText(folder, CHAT_TEMPLATE, signal),
  ]);
  return {
    tokenizer: parseJsonFile(tokenizer, `${folder.location}/${TOKENIZER}`),
    tokenizerConfig,
    chatTemplate,
  };
}

const CONFIG = "config.json";
const GENERATION_CONFIG = "generation_config.json";
const POOLING_CONFIG = "1_Pooling/config.json";
const TOKENIZER = "tokenizer.json";
const TOKENIZER_CONFIG = "tokenizer_config.json";
const CHAT_TEMPLATE = "chat_template.jinja";

/** All that this file reads. */
export const CONFIG_FILES: readonly string[] = [
  ...[CONFIG, GENERATION_CONFIG, POOLING_CONFIG, TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE],
];

/** Empty where there is no such file. */
async function readOptionalJson(
  folder: ModelFolder,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Json> {
  const text = await readOptionalText(folder, name, signal);
  return text === undefined ? {} : parseObject(text, name, folder);
}

function parseObject(text: string, name: string, folder: ModelFolder): Json {
  const value = parseJsonFile(text, `${folder.location}/${name}`);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw badField(folder, name, "holds no JSON object");
}

function generationConfig(generation: Json, config: Json, folder: ModelFolder): GenerationConfig {
  const number = (key: string): number | undefined => {
    const value = generation[key] ?? undefined;
    if (value === undefined || typeof value === "number") return value;
    throw badField(folder, GENERATION_CONFIG, `has ${key} ${JSON.stringify(value)}, not a number`);
  };
  // A base model's generation_config.json often leaves it to config.json.
  const [eos, file] =
    generation.eos_token_id === undefined
      ? [config.eos_token_id, CONFIG]
      : [generation.eos_token_id, GENERATION_CONFIG];
  const eosTokenIds = [eos ?? []].flat();
  if (!eosTokenIds.every((id) => Number.isInteger(id) && Number(id) >= 0)) {
    throw badField(folder, file, `has eos_token_id ${JSON.stringify(eos)}, not an id or a list`);
  }
  const doSample = generation.do_sample;
  return {
    eosTokenIds: eosTokenIds as number[],
    doSample: typeof doSample === "boolean" ? doSample : undefined,
    temperature: number("temperature"),
    topK: number("top_k"),
    topP: number("top_p"),
    minP: number("min_p"),
    repetitionPenalty: number("repetition_penalty"),
  };
}

function badField(folder: ModelFolder, name: string, what: string): WeftError {
  return new WeftError(
    "bad_file",
    `${folder.location}/${name} ${what}; take the file from the model's publisher`,
  );
}
