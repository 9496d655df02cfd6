// The command's arguments. Pure; a wrong one is a UsageError that says what, actual and allowed.

import { parseArgs } from "node:util";
import { SUBJECTS } from "./subjects.mjs";

/** Exit status 2. */
export class UsageError extends Error {}

export const SIZES = ["5m", "25m", "100m", "500m"];
/** What the models' position tables hold. */
const MAX_TOKENS = 2048;

export const HELP = `npm run compare -- [options]

  --sizes 5m,25m      models to compare, of ${SIZES.join(", ")}; default 5m,25m
  --prompt N          tokens of each prompt; default 128
  --gen N             tokens that each request generates; default 64
  --repeats N         timed rounds, 3 to 20; default 3
  --subjects A,B      only these, of ${SUBJECTS.map(({ name }) => name).join(", ")}
  --out FILE          JSON; default docs/results/compare-lavapipe.json, or compare-gpu.json on a GPU
`;

/**
 * @typedef {object} Options
 * @property {boolean} help
 * @property {string[]} sizes
 * @property {number} promptTokens
 * @property {number} genTokens
 * @property {number} repeats
 * @property {import("./subjects.mjs").Subject[]} subjects
 * @property {string | undefined} out
 */

/**
 * @param {readonly string[]} args
 * @returns {Options}
 * @throws {UsageError}
 */
export function readOptions(args) {
  const values = parse(args);
  const promptTokens = integer("--prompt", values.prompt ?? "128", 2, MAX_TOKENS);
  const genTokens = integer("--gen", values.gen ?? "64", 2, MAX_TOKENS);
  if (promptTokens + genTokens > MAX_TOKENS) {
    throw new UsageError(
      `--prompt ${promptTokens} and --gen ${genTokens} need ${promptTokens + genTokens} positions, ` +
        `the models have ${MAX_TOKENS}; lower one`,
    );
  }
  const names = values.subjects
    ? list(
        "--subjects",
        values.subjects,
        SUBJECTS.map(({ name }) => name),
      )
    : undefined;
  return {
    help: values.help === true,
    sizes: list("--sizes", values.sizes ?? "5m,25m", SIZES),
    promptTokens,
    genTokens,
    repeats: integer("--repeats", values.repeats ?? "3", 3, 20),
    subjects: SUBJECTS.filter(({ name }) => names === undefined || names.includes(name)),
    out: values.out,
  };
}

/** @param {readonly string[]} args */
function parse(args) {
  try {
    const text = /** @type {const} */ ({ type: "string" });
    const options = {
      sizes: text,
      prompt: text,
      gen: text,
      repeats: text,
      subjects: text,
      out: text,
    };
    return parseArgs({
      args: [...args],
      options: { ...options, help: /** @type {const} */ ({ type: "boolean" }) },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} name @param {string} text @param {number} min @param {number} max */
function integer(name, text, min, max) {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(
    `${name} is ${JSON.stringify(text)}, it must be a whole number from ${min} to ${max}`,
  );
}

/** @param {string} name @param {string} text @param {readonly string[]} allowed */
function list(name, text, allowed) {
  const values = text.split(",").map((value) => value.trim());
  const unknown = values.find((value) => !allowed.includes(value));
  if (unknown !== undefined) {
    throw new UsageError(
      `${name} names ${JSON.stringify(unknown)}; it takes a comma-separated list of ${allowed.join(", ")}`,
    );
  }
  return [...new Set(values)];
}
