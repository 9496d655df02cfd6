// Faults in config.json, header and data of models in 4-bit groups: what comes out is a tensor of the
// promised size or a typed error, and no more is read or made than the file accounts for.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import type { ModelFolder } from "../../../runtime/model-folder/model-folder.ts";
import { parseJsonFile } from "../../../runtime/model-folder/strict-json.ts";

import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import { readQuantisation } from "../../../runtime/weights/quantisation-config.ts";
import { quantisedCheckpoint } from "../../../runtime/weights/quantised-checkpoint.ts";
import { streamTensor } from "../../../runtime/weights/stream.ts";
import { report, scale } from "../../harness/soak.ts";
import { folderOf } from "../int4-model.ts";
import { generator, type Random } from "./random.ts";
import { assemble } from "./safetensors-file.ts";
import { watched } from "./watched-source.ts";

const fixtures = new URL("../../fixtures/int4/", import.meta.url);
const file = (name: string) => Uint8Array.from(readFileSync(new URL(name, fixtures)));
const { rows, columns, cases } = JSON.parse(new TextDecoder().decode(file("index.json"))) as {
  rows: number;
  columns: number;
  cases: { name: string; config: object }[];
};
const layers = cases.map(({ name, config }) => {
  const bytes = file(`${name}.safetensors`);
  const end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = new TextDecoder().decode(bytes.subarray(8, end));
  return { config: JSON.stringify(config), header, data: bytes.slice(end) };
});
type Layer = (typeof layers)[number];

test("mutants give blocks of the promised size or a typed error", async () => {
  const count = scale("int4-mutants", 500, 10_000);
  const random = generator(0x1274);
  const refusals: Record<string, number> = {};
  let read = 0;
  let slowestMs = 0;
  for (let i = 0; i < count; i++) {
    const { config, header, data } = mutant(layers[random(layers.length)]!, random);
    const bytes = assemble(header, data);
    const reads: number[] = [];
    const started = performance.now();
    try {
      const made = await load(config, watchedFolder(folderOf({}, bytes), reads), random(3) > 0);
      // A block's head has two bytes for a zero point of half a byte; f32 weights have eight for one.
      expect(made).toBeLessThanOrEqual(9 * bytes.length);
      read++;
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      refusals[error.code] = (refusals[error.code] ?? 0) + 1;
    }
    slowestMs = Math.max(slowestMs, performance.now() - started);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(bytes.length);
  }
  // Both kinds must occur, or the mutations are too wild or too tame.
  expect(read).toBeGreaterThan(count * 0.05);
  expect(read).toBeLessThan(count * 0.7);
  expect(Object.keys(refusals).sort()).toEqual([
    "bad_file",
    "bad_safetensors",
    "missing_tensor",
    "unsupported_dtype",
    "unsupported_model",
  ]);
  expect(slowestMs).toBeLessThan(1000);
  report("int4-mutants", { mutants: count, read, refusals, slowestMs });
}, 600_000);

/** @returns Bytes of the blocks that come of `layer.weight`. */
async function load(config: string, folder: ModelFolder, isShapeKnown: boolean): Promise<number> {
  const parsed = parseJsonFile(config, "config.json") as Record<string, unknown>;
  const quantisation = readQuantisation(parsed);
  const files = await openCheckpoint(folder);
  const checkpoint = await quantisedCheckpoint(files, quantisation);
  const shape = isShapeKnown ? [rows, columns] : undefined;
  const tensor = checkpoint.tensor("layer.weight", shape);
  let end = 0;
  for await (const { offset, bytes } of streamTensor(tensor)) {
    expect(offset).toBe(end);
    end += bytes.byteLength;
  }
  expect(end).toBe(tensor.byteLength);
  return end;
}

/** Notes the length of every read. */
const watchedFolder = (folder: ModelFolder, reads: number[]): ModelFolder => ({
  ...folder,
  open: async (name, signal) => watched(await folder.open(name, signal), reads),
});

const NUMBERS = ["-1", "0", "1", "1.5", "1e400", "8", "16", "32", "64", "128", "256", "null", "[]"];
const HUGE = ["4294967296", "9007199254740991"];
const WORDS = ["mlx", "awq", "gptq", "gptq_v2", "fp8", "bits", "mode", "qweight", "__proto__"];
const DTYPES = [
  ["F32", "I32", "U32"],
  ["F16", "BF16", "I16"],
];

/** One or two faults: of other tools' layouts, broken writers, cut downloads and attackers. */
function mutant({ config, header, data }: Layer, random: Random): Layer {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const replaceOne = (text: string, pattern: RegExp, by: (found: string) => string) => {
    const matches = [...text.matchAll(pattern)];
    if (matches.length === 0) return text;
    const { index, 0: found } = pick(matches);
    return text.slice(0, index) + by(found) + text.slice(index + found.length);
  };
  const layer = { config, header, data: data.slice() };
  for (let faults = 1 + random(2); faults > 0; faults--) {
    switch (random(9)) {
      case 0:
        layer.config = replaceOne(layer.config, /-?\d+|true|false/g, () =>
          pick([...NUMBERS, ...HUGE]),
        );
        break;
      case 1:
        layer.config = replaceOne(layer.config, /(?<=")\w+(?=")/g, () => pick(WORDS));
        break;
      case 2:
        layer.config = layer.config.slice(0, random(layer.config.length));
        break;
      case 3:
        // A sound header still: the same bytes of another type.
        layer.header = replaceOne(layer.header, /(?<=")B?[FIU]\d\d(?=")/g, (found) =>
          pick(DTYPES.find((list) => list.includes(found)) ?? [found]),
        );
        break;
      case 4:
        // Sides swapped, or folded.
        layer.header = replaceOne(layer.header, /\[(\d+), (\d+)\](?=, "data)/g, (found) => {
          const [a, b] = JSON.parse(found) as [number, number];
          return JSON.stringify(pick([[b, a], [a * b], [a * 2, b / 2], [1, a * b], [a, b, 1]]));
        });
        break;
      case 5:
        layer.header = replaceOne(layer.header, /(?<=layer\.)\w+/g, () =>
          pick(["weight", "scales", "biases", "qweight", "qzeros", "g_idx", "bias"]),
        );
        break;
      case 6:
        layer.header = replaceOne(layer.header, /\d+/g, () => pick([...NUMBERS, ...HUGE]));
        break;
      case 7:
        layer.data[random(layer.data.length)] = random(256);
        break;
      default:
        layer.data = layer.data.slice(0, random(layer.data.length + 1));
    }
  }
  return layer;
}
