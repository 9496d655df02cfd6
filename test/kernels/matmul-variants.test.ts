// Shapes that tuning chooses between: few enough to measure, small enough for every WebGPU device.

import { expect, test } from "vitest";
import { listedFormats } from "../../kernels/index.ts";
import { int8Shapes, matmul, matmulShapes, shapeNamed } from "../../kernels/matmul.ts";
import { MAX_WORKGROUP_BYTES, type MatmulShape } from "../../kernels/matmul-shape.ts";
import { shapeVariants } from "../../kernels/matmul-variants.ts";
import { weightFormats } from "../../kernels/packed-formats.ts";

const MAX_LANES = 256;
const int8: readonly MatmulShape[] = Object.values(int8Shapes);
const portable: readonly MatmulShape[] = [...Object.values(matmulShapes), ...int8];
const shapes = [...portable, ...shapeVariants];

test("there are at most 16 for each kind of row count, each found by its name", () => {
  for (const maxRows of new Set(shapes.map((shape) => shape.maxRows))) {
    // A device has one size of subgroups at most.
    const able = shapes.filter(
      (s) =>
        s.maxRows === maxRows &&
        !int8.includes(s) &&
        !/(subgroup|broadcast)(4|8|16|64)/.test(s.name),
    );
    expect(able.length, `up to ${maxRows} rows`).toBeLessThanOrEqual(16);
  }
  for (const shape of shapes) expect(shapeNamed(shape.name)).toBe(shape);
  expect(shapeNamed("gemv_1x2x3")).toBeUndefined();
});

test.each(shapes.map((shape) => [shape.name, shape] as const))("%s fits", (_, shape) => {
  const fits: boolean[] = [];
  for (const format of listedFormats) {
    if (int8.includes(shape) && !weightFormats[format].integer) continue;
    for (const tail of ["store", "silu"] as const) {
      const rowsPerOutput = tail === "store" ? 1 : 2;
      const bytes = shape.workgroupBytes({
        format: weightFormats[format],
        rowsPerOutput,
        octets: false,
        rows: "all",
      });
      const { wgsl } = matmul({ format, shape: shape.name, epilogue: { bias: false, tail } });
      fits.push(bytes <= MAX_WORKGROUP_BYTES);
      // What does not fit at all is never compiled.
      if (bytes === Number.POSITIVE_INFINITY) continue;
      const arrays = [...wgsl.matchAll(/var<workgroup> \w+: array<[fiu]32, (\d+)>/g)];
      expect(bytes, format).toBe(4 * arrays.reduce((sum, [, count]) => sum + Number(count), 0));
      expect(Number(/@workgroup_size\((\d+)\)/.exec(wgsl)![1])).toBeLessThanOrEqual(MAX_LANES);
    }
  }
  // The portable ones fit always, the others at least half of the time: else they are not worth a name.
  if (portable.includes(shape)) expect(fits).not.toContain(false);
  else expect(fits.filter(Boolean).length).toBeGreaterThanOrEqual(fits.length / 2);
});
