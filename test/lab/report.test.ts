// The lab's report: every row in it, nothing from outside in it, and other libraries set against ours.

import { expect, test } from "vitest";
import { bestOfOurs } from "../../apps/lab/beside.ts";
import { invariancePrices } from "../../apps/lab/invariance-price.ts";
import { labReport } from "../../apps/lab/lab-report.ts";
import { labText } from "../../apps/lab/lab-text.ts";
import type { LabResult, LabRow } from "../../apps/lab/result.ts";

const row = (changes: Partial<LabRow>): LabRow => ({
  name: "matmul",
  variant: "gemv[f32].residual",
  model: "tiny",
  role: "attention_out",
  rows: 1,
  shape: "T 1, N 256, K 256",
  source: "weft",
  clock: "timestamp-query",
  medianUs: 100,
  gbPerS: 2.5,
  gflopPerS: 1.25,
  rooflinePct: 62.5,
  flops: 131_072,
  bytes: 264_192,
  maxError: 5e-7,
  ...changes,
});

const none = { medianUs: null, gbPerS: null, gflopPerS: null, rooflinePct: null, maxError: null };
const attention = { role: "attention, 256 positions", shape: "T 1, N 4" };

const rows: readonly LabRow[] = [
  row({}),
  row({ variant: "gemv[f16].residual", medianUs: 40 }),
  row({ name: "attention_decode", variant: "[f16]", medianUs: 30, ...attention }),
  row({ name: "attention_reduce", variant: "", medianUs: 12, ...attention }),
  row({ name: "row_gather", variant: "", flops: 0, gflopPerS: 0, maxError: 0 }),
  row({ variant: "<b>mine</b>", source: "yours", problem: "element 3 is 1 & not 2" }),
  row({ source: "gpu.js", variant: "webgpu (WebGPUKernel)", medianUs: 300 }),
  row({ source: "gpu.js", variant: "cpu (CPUKernel)", medianUs: 500, rooflinePct: null }),
  row({
    source: "gpu.js",
    variant: "webgpu",
    name: "attention_decode",
    medianUs: 84,
    ...attention,
  }),
  row({ source: "onnxruntime-web", variant: "webgpu", absent: "it is not here", ...none }),
];

const result: LabResult = {
  adapter: "A <GPU>",
  host: "Node 20",
  date: "2026-11-21",
  clock: "timestamp-query",
  method: "medians",
  notes: ["A note."],
  probes: {
    ...{ copyGBPerS: 4, readGBPerS: 3, fmaGFlopPerS: 8 },
    ...{ dispatchUs: 30, encodeUs: 4, submitUs: 80 },
  },
  kernels: rows,
};

test("HTML: complete, by itself, and nothing of it taken for markup", () => {
  const html = labReport(result);
  expect(html).toMatch(/^<!doctype html>/);
  expect(html).not.toMatch(/<script|<link|src=|href=|NaN|undefined|Infinity/);
  expect(html).toContain("A &#60;GPU&#62;");
  expect(html).toContain("&#60;b&#62;mine&#60;/b&#62;");
  expect(html).toContain("element 3 is 1 &#38; not 2");
  expect(html).toContain("onnxruntime-web webgpu: it is not here (matmul T 1, N 256, K 256)");
  // Marks: all with flops on the GPU, so neither the copy nor gpu.js on the processor.
  expect(html.match(/class="mark/g)).toHaveLength(7);
  expect(html.match(/<tr/g)).toHaveLength(1 + 2 + 1 + 6);
});

test("others against the fastest of ours in the same precision", () => {
  expect(bestOfOurs(rows, rows[6])).toEqual({ us: 100, variant: "gemv[f32].residual" });
  expect(bestOfOurs(rows, rows[8])).toMatchObject({ us: 42 });
  const html = labReport(result);
  expect(html).toContain("300 µs <small>(3×)</small>");
  expect(html).toContain("84 µs <small>(2×)</small>");
});

test("text: a line per measured row, and a reason for each that is absent", () => {
  const lines = labText(result).trimEnd().split("\n");
  expect(lines.filter((line) => /(weft|yours|gpu\.js) /.test(line))).toHaveLength(9);
  expect(lines.at(-1)).toBe(
    "absent: onnxruntime-web webgpu: it is not here (matmul T 1, N 256, K 256)",
  );
  expect(lines.find((line) => line.startsWith("row_gather"))).toMatch(/–.*exact$/);
});

test("the price of invariance: the fastest of the class over the fastest in any order", () => {
  const measured = [
    ...rows,
    row({ variant: "gemv[q4_0].residual", medianUs: 66 }),
    row({ variant: "gemv_subgroup32[q4_0].residual", medianUs: 60 }),
    row({ variant: "gemv_any[q4_0].residual", medianUs: 50 }),
    row({ variant: "gemv_64x64x2_any[q4_0].residual", medianUs: 70 }),
    row({ variant: "gemv_broadcast8_any[q4_0].residual", medianUs: 5, problem: "wrong" }),
    row({ variant: "tile_any[f16].residual", shape: "T 64, N 256, K 256" }),
  ];
  const [price, ...others] = invariancePrices(measured);
  expect(others).toEqual([]);
  expect(price).toMatchObject({
    ...{ format: "q4_0", price: 1.2 },
    invariant: { variant: "gemv_subgroup32[q4_0].residual" },
    anyOrder: { variant: "gemv_any[q4_0].residual" },
  });
  const kernels = measured;
  expect(labReport({ ...result, kernels })).toContain("<h2>The price of invariance</h2>");
  expect(labText({ ...result, kernels })).toMatch(/gemv_subgroup32 +60 +gemv_any +50 +1\.2×/);
  expect(labText(result)).not.toContain("price of invariance");
});
