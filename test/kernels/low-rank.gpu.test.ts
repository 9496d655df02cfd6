// Two thin matrices in one kernel give the bits of two matrix products, the second added to the residual
// stream: so it does not matter how many rows skip a sublayer, and which kernel takes them.

import { afterAll, beforeAll, expect, test } from "vitest";
import { lowRank, matmul } from "../../kernels/index.ts";
import { lowRankProbe } from "../../kernels/low-rank.ts";
import { seededRandom } from "../../kernels/probe.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { gpu } from "../harness/gpu.ts";
import { firstDifference, KernelMemory } from "./kernel-memory.ts";

let device: GpuDevice;
let memory: KernelMemory;
beforeAll(async () => {
  device = await openGpuDevice(await gpu());
  memory = new KernelMemory(device);
});
afterAll(() => {
  memory.free();
  device.destroy();
});

const product = (tail: "store" | "residual") =>
  matmul({ format: "f32", shape: "gemv", epilogue: { bias: false, tail } });

test.each([
  [96, 32],
  [1120, 64],
])("of %d dims by rank %d", async (D, r) => {
  const { dims, inputs } = lowRankProbe({ T: 1, R: 1, D, r });
  const given = inputs(seededRandom(D));
  const put = (name: keyof typeof given) => memory.put(name, given[name]);
  const { down, up, x, out, rows } = {
    ...{ down: await put("down"), up: await put("up"), x: await put("x") },
    ...{ out: await put("out"), rows: await put("rows") },
  };
  await memory.run(lowRank("f32"), { x, rows, down, up, out }, dims);

  const inner = await memory.poison("inner", 4 * r);
  const twin = await put("out");
  const packed = async (values: Float32Array, N: number, K: number) =>
    memory.put("weight", product("store").bindings.weight!.packing!.pack(values, N, K));
  const sizes = (N: number, K: number) => ({ T: 1, N, K, out_stride: N, out_offset: 0 });
  await memory.run(
    product("store"),
    { x, weight: await packed(given.down, r, D), out: inner },
    sizes(r, D),
  );
  await memory.run(
    product("residual"),
    { x: inner, weight: await packed(given.up, D, r), out: twin },
    sizes(D, r),
  );
  expect(firstDifference(await memory.read(out), await memory.read(twin))).toBe(-1);
});
