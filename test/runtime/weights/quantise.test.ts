// Weft's quantiser gives the bytes of Python `gguf`, for every matrix of the demo model
// (tools/quant/demo_hashes.py) and for blocks that round in odd ways.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { weightFormats } from "../../../kernels/packed-formats.ts";
import { toFloat32 } from "../../../runtime/weights/dtype.ts";
import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import { demoFolder } from "../../engine/node-model.ts";

const hashes = JSON.parse(
  readFileSync(new URL("../../fixtures/quant/demo.json", import.meta.url), "utf8"),
) as Record<string, Record<"Q8_0" | "Q4_0", string>>;

test("the demo model's matrices", async () => {
  const checkpoint = await openCheckpoint(demoFolder());
  const names = Object.keys(hashes);
  expect(names.length).toBeGreaterThan(60);
  for (const name of names) {
    const { source, offset, byteLength, dtype } = checkpoint.tensor(name);
    const values = toFloat32(await source.read(offset, byteLength), dtype);
    const sha = (format: "q8_0" | "q4_0") =>
      createHash("sha256").update(weightFormats[format].encode(values)).digest("hex");
    expect({ Q8_0: sha("q8_0"), Q4_0: sha("q4_0") }, name).toEqual(hashes[name]);
  }
  await checkpoint.close();
});

test("a block of zeros, and one whose largest values tie", () => {
  for (const name of ["q8_0", "q4_0"] as const) {
    const { encode, block } = weightFormats[name];
    const zeros = toFloat32(encode(new Float32Array(32)), name);
    expect(zeros.every((value) => Math.abs(value) === 0)).toBe(true);
    const tie = new Float32Array(32);
    tie.set([2, -2]);
    const decoded = toFloat32(encode(tie), name);
    expect(encode(tie)).toHaveLength(block.bytes);
    // Q4_0 has 16 codes from −8 to 7: the first of the farthest is exact, its opposite is cut to 7/8.
    expect([...decoded.subarray(0, 2)]).toEqual([
      decoded[0],
      name === "q8_0" ? -decoded[0] : -1.75,
    ]);
    expect(decoded[0]).toBeCloseTo(2, 2);
  }
});
