// `weft logits` on the goldens, which have no tokenizer.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GOLDENS } from "./tiny-model.ts";
import { weft, weftJson } from "./weft.ts";

const logits = (model: string, ids: readonly number[], ...more: string[]) => [
  ...["logits", "--model", join(GOLDENS, model), "--device", "reference"],
  ...["--ids", ids.join(), ...more],
];

interface Position {
  readonly position: number;
  readonly tokenId: number;
  readonly logits: number[];
}

/** The last and longest prompt of a golden, and transformers' float64 logits of its positions. */
function golden(folder: string) {
  const index = JSON.parse(readFileSync(join(GOLDENS, "index.json"), "utf8"));
  const fixture = index.fixtures.find((f: { folder: string }) => f.folder === folder);
  const { prompts, logitsFile, logitStd, vocabSize } = fixture;
  const ids: number[] = prompts.at(-1);
  const { buffer, byteOffset, byteLength } = readFileSync(join(GOLDENS, logitsFile));
  const all = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  const expected = all.subarray(all.length - ids.length * vocabSize);
  return { ids, expected, vocabSize, limit: index.tolerance.f32.max * logitStd };
}

test("prints every position, equal to transformers past the sliding window", async () => {
  const { ids, expected, vocabSize, limit } = golden("mistral/f32");
  const all = await weftJson(logits("mistral/f32", ids, "--positions", "all"));
  expect(all.vocabSize).toBe(vocabSize);
  const positions: Position[] = all.positions;
  expect(positions.map(({ position }) => position)).toEqual(ids.map((_, i) => i));
  expect(positions.map(({ tokenId }) => tokenId)).toEqual(ids);
  const actual = positions.flatMap((row) => row.logits);
  expect(actual).toHaveLength(expected.length);
  expect(Math.max(...actual.map((value, i) => Math.abs(value - expected[i])))).toBeLessThan(limit);
  // Run in one step instead of several: the same bits.
  const last = await weftJson(logits("mistral/f32", ids, "--positions", "last"));
  expect(last.positions).toEqual(positions.slice(-1));
});

test("an id outside the vocabulary is refused", async () => {
  const { status, stdout, stderr } = await weft(logits("qwen3/f32", [1, 131], "--json"));
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(/ids has 131, .* from 0 to 130.*\(bad_request\)/);
});

test("more ids than the model has positions are refused", async () => {
  const ids = Array.from({ length: 600 }, () => 1);
  const { status, stderr } = await weft(logits("qwen3/f32", ids, "--positions", "last"));
  expect(status).toBe(1);
  expect(stderr).toMatch(/600 prompt tokens.*context of 512 tokens.*\(request_too_long\)/);
});

test("without --json it shows the likeliest ids", async () => {
  const { status, stdout } = await weft(logits("qwen3/f32", [1, 5]));
  expect(status).toBe(0);
  expect(stdout).toMatch(/^position 0 {2}token 1 {2}→ {2}\d+: -?\d.*\nposition 1 {2}token 5 .*\n$/);
});
