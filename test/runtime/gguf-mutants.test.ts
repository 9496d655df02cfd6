// GGUF files with faults, through everything that reads them: header, configuration, tokenizer, and
// the plan of a model. Each gives a sound result or a typed error, and reads no more than there is.

import { expect, test } from "vitest";
import { WeftError } from "../../runtime/errors.ts";
import { planModel } from "../../runtime/load-model.ts";
import { readModelFiles } from "../../runtime/model-folder/config-files.ts";
import { ggufFolder } from "../../runtime/model-folder/gguf-folder.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { blobSource } from "../../runtime/weights/byte-source.ts";
import { type GgufHeader, readGgufHeader } from "../../runtime/weights/gguf-header.ts";
import { report, scale } from "../harness/soak.ts";
import { headOf, modelFile, modelFixtures, vocabularyFile } from "./gguf-fixture.ts";
import { generator, type Random } from "./weights/random.ts";
import { watched } from "./weights/watched-source.ts";

/** What a broken file may end in; `internal` would be a fault of ours. */
const CODES = [
  ...["bad_gguf", "bad_tokenizer", "bad_config", "bad_file", "bad_shape"],
  ...["missing_tensor", "unsupported_dtype", "unsupported_model"],
  ...["limit_exceeded", "memory_budget_too_small"],
];

test("mutants give a sound model or a typed error", async () => {
  const count = scale("gguf-mutants", 500, 10_000);
  const random = generator(0x66ff);
  const models = ["llama-llama3-f32", "gpt-oss-f32", "gemma3_text-linear-f32"].map(
    async (wanted) => {
      const model = modelFixtures.find(({ name }) => name === wanted)!;
      const file = await modelFile(model);
      return { file, headBytes: headOf(wanted).length, isModel: true };
    },
  );
  const bases = [
    ...(await Promise.all(models)),
    ...["llama-bpe", "sentencepiece"].map((name) => {
      const file = vocabularyFile(name);
      return { file, headBytes: file.length, isModel: false };
    }),
  ];
  const codes: Record<string, number> = {};
  let slowestMs = 0;
  for (let i = 0; i < count; i++) {
    const { file, headBytes, isModel } = bases[i % bases.length];
    const bytes = mutant(file, headBytes, random);
    const started = performance.now();
    const reads: number[] = [];
    const source = watched(blobSource(new Blob([bytes]), "m.gguf"), reads);
    const header = await attempt(codes, "header", () => readGgufHeader(source));
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(bytes.length);
    if (header) {
      expectInside(header, bytes.length);
      const folder = ggufFolder("m.gguf", async () => source);
      if (isModel) {
        const plan = await attempt(codes, "plan", () => planModel(new ReferenceDevice(), folder));
        await plan?.close();
      } else {
        await attempt(codes, "tokenizer", async () => {
          const { tokenizer, tokenizerConfig: config } = await readModelFiles({
            ...folder,
            // These files have no model.
            open: (name) => (name === "config.json" ? CONFIG.open() : folder.open(name)),
          });
          return new Tokenizer({ tokenizer, config }).encode("The weft", {
            addSpecialTokens: true,
          });
        });
      }
    }
    slowestMs = Math.max(slowestMs, performance.now() - started);
  }
  const passed = (codes["plan ok"] ?? 0) + (codes["tokenizer ok"] ?? 0);
  const refused = count - passed;
  // Both kinds must occur, or the mutations are too wild or too tame.
  expect(passed).toBeGreaterThan(count * 0.02);
  expect(passed).toBeLessThan(count * 0.6);
  expect(slowestMs).toBeLessThan(2000);
  report("gguf-mutants", { mutants: count, passed, refused, slowestMs, codes });
});

const CONFIG = { open: async () => blobSource(new Blob(["{}"]), "config.json") };

/** Counts how it ended. Anything but a WeftError of the list fails the test. */
async function attempt<T>(
  codes: Record<string, number>,
  what: string,
  run: () => Promise<T>,
): Promise<T | undefined> {
  const note = (end: string) => {
    codes[`${what} ${end}`] = (codes[`${what} ${end}`] ?? 0) + 1;
  };
  try {
    const result = await run();
    note("ok");
    return result;
  } catch (error) {
    const { code, message } = WeftError.from(error);
    expect(CODES, `${what}: ${message}`).toContain(code);
    note(code);
    return undefined;
  }
}

/** Tensors lie inside the file and apart, and have the length of their type and shape. */
function expectInside({ tensors }: GgufHeader, fileBytes: number): void {
  let end = 0;
  for (const { offset, byteLength, shape, type } of [...tensors.values()]
    .filter(({ byteLength }) => byteLength > 0)
    .sort((a, b) => a.offset - b.offset)) {
    expect(offset).toBeGreaterThanOrEqual(end);
    const weights = shape.reduce((product, size) => product * size, 1);
    expect(byteLength).toBe((weights / type.blockWeights) * type.blockBytes);
    end = offset + byteLength;
  }
  expect(end).toBeLessThanOrEqual(fileBytes);
}

const SIZES = [0n, 1n, 3n, 31n, 64n, 255n, 1n << 31n, 1n << 32n, 1n << 53n, (1n << 64n) - 1n];

/** One or two faults of the kinds that broken writers, cut downloads and attackers make. */
function mutant(
  file: Uint8Array<ArrayBuffer>,
  headBytes: number,
  random: Random,
): Uint8Array<ArrayBuffer> {
  let bytes = file.slice();
  for (let faults = 1 + random(2); faults > 0; faults--) {
    const at = random(Math.min(headBytes, bytes.length));
    const view = new DataView(bytes.buffer);
    const length = 1 + random(24);
    switch (random(8)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] ^= 1 << random(8);
        break;
      case 2:
        if (at + 8 <= bytes.length) view.setBigUint64(at, SIZES[random(SIZES.length)], true);
        break;
      case 3:
        if (at + 4 <= bytes.length)
          view.setUint32(at, random(2) ? random(64) : random(2 ** 31), true);
        break;
      case 4:
        bytes = join(bytes.subarray(0, at), bytes.subarray(at + length));
        break;
      case 5:
        bytes = join(bytes.subarray(0, at), bytes.slice(at, at + length), bytes.subarray(at));
        break;
      case 6:
        bytes = bytes.slice(0, random(2) ? at : random(bytes.length + 1));
        break;
      default:
        bytes.copyWithin(at, random(headBytes), random(headBytes) + length);
    }
  }
  return bytes;
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
