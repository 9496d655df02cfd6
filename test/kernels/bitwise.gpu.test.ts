// Matrix kernels are one numeric class. The gemv of one row alone with a plain store is the slow twin
// of them all, on the decoded weights: any shape with any number of rows, any format, any prologue and
// any epilogue (in the twin kernels of their own, before and after) gives its bits.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { gatedActivation } from "../../kernels/activation.ts";
import { type Epilogue, epilogueName, rowsPerOutput } from "../../kernels/epilogue.ts";
import { bf16ToNumber, numberToBf16 } from "../../kernels/half.ts";
import { matmulKernels, scaledKernels, variantKernels } from "../../kernels/index.ts";
import type { BufferSlice, Kernel, KernelCall, Packing } from "../../kernels/kernel.ts";
import { matmul } from "../../kernels/matmul.ts";
import {
  type WeightFormat,
  type WeightFormatName,
  weightFormats,
} from "../../kernels/packed-formats.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import { alignUp } from "../../runtime/device.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { deviceInfo } from "../harness/device.ts";
import { gpu } from "../harness/gpu.ts";
import { KernelMemory } from "./kernel-memory.ts";
import { sampled } from "./sampled.ts";

/** Two tiles of rows and of columns, and a rest. */
const MAX_ROWS = 40;
const COLUMNS = 37;
const DEPTHS = [32, 96, 1056, 2048];
const ALIGNMENT = 256;
const EPS = 1e-5;
/** Of the scaled epilogues; a power of two would hide where a product is rounded. */
const SCALE = Math.fround(0.22);

let device: GpuDevice;
let memory: KernelMemory;
beforeAll(async () => {
  device = await openGpuDevice(await gpu());
  memory = new KernelMemory(device);
});
afterEach(() => memory.free());
afterAll(() => device.destroy());

const info = await deviceInfo();
const kernels = [...matmulKernels, ...scaledKernels, ...variantKernels].filter((kernel) =>
  sampled(kernel, info),
);
test.each(kernels.map((kernel) => [kernel.name, kernel] as const))("%s", async (_, kernel) => {
  const { format, packing } = weightOf(kernel);
  for (const depth of DEPTHS) {
    const K = alignUp(depth, format.block.weights);
    const plain = operands(K);
    const decoded = packing.unpack(packing.pack(plain.weight, 2 * COLUMNS, K), 2 * COLUMNS, K);
    const given = { ...plain, weight: decoded };
    const wanted = await twin(given, epilogueOf(kernel), isNormed(kernel));
    for (const { rows, bits } of await ranges(kernel, plain, COLUMNS, rangesOf(kernel))) {
      const from = rows.first * COLUMNS;
      const differs = bits.findIndex((word, i) => word !== wanted[from + i]);
      expect(differs, `K ${K}, rows ${rows.first} to ${rows.first + rows.count}`).toBe(-1);
    }
  }
});

test("sums in another order would have other bits", async () => {
  const given = operands(1056);
  const reversed = {
    ...given,
    x: reverseRows(given.x, 1056),
    weight: reverseRows(given.weight, 1056),
  };
  const plain: Epilogue = { bias: false, tail: "store" };
  const forward = await twin(given, plain, false);
  const backward = await twin(reversed, plain, false);
  const same = forward.filter((word, i) => word === backward[i]).length;
  expect(same).toBeLessThan(forward.length / 2);
});

interface Operands {
  readonly K: number;
  readonly x: Float32Array;
  /** Twice COLUMNS rows, for gated epilogues. */
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly residual: Float32Array;
  readonly norm_weight: Float32Array;
}

function operands(K: number): Operands {
  const random = seededRandom(K);
  // Numbers that f32, f16 and bf16 all hold, so that one twin serves the three.
  const stored = (w: number) => (Math.abs(w) < 2 ** -14 ? 0 : bf16ToNumber(numberToBf16(w)));
  return {
    K,
    x: normal(MAX_ROWS * K, random),
    weight: normal(2 * COLUMNS * K, random, K ** -0.5).map(stored),
    bias: normal(2 * COLUMNS, random),
    residual: normal(MAX_ROWS * COLUMNS, random),
    norm_weight: uniform(K, 0.5, 1.5, random),
  };
}

interface Rows {
  readonly first: number;
  readonly count: number;
}

/** Gemv: each row alone. The others: the first row, the first two, and so on. */
function rangesOf({ name }: Kernel): Rows[] {
  if (name.includes("gemv")) return eachRow;
  return Array.from({ length: MAX_ROWS }, (_, i) => ({ first: 0, count: i + 1 }));
}
const eachRow = Array.from({ length: MAX_ROWS }, (_, first) => ({ first, count: 1 }));

const twins = new Map<string, Promise<Uint32Array>>();

/** Bits of [MAX_ROWS, COLUMNS]: the norm, f32 gemv of each row with a plain store, then the epilogue. */
async function unfused(plain: Operands, epilogue: Epilogue, norm: boolean): Promise<Uint32Array> {
  const { bias, tail } = epilogue;
  const given = norm ? { ...plain, x: await normalised(plain) } : plain;
  const numColumns = rowsPerOutput(epilogue) * COLUMNS;
  // Whether `fma` rounds once is the driver's choice: a scaled sum has its twin on the driver too.
  const isScaled = /^(scaled|capped)_/.test(tail);
  const plainest: Epilogue = isScaled ? epilogue : { bias, tail: "store" };
  const store = matmul({ format: "f32", shape: "gemv", epilogue: plainest });
  const rows = await ranges(store, given, numColumns, eachRow);
  const sums = Uint32Array.from(rows.flatMap(({ bits }) => [...bits]));
  if (isScaled || tail === "store") return sums;
  if (tail === "residual") {
    const added = new Float32Array(sums.buffer).map((sum, i) => given.residual[i]! + sum);
    return new Uint32Array(added.buffer);
  }
  if (tail !== "silu" && tail !== "gelu_tanh") throw new Error(`${tail} has a test of its own`);
  const gate_up = await memory.put("gate_up", sums);
  const out = await memory.poison("out", 4 * MAX_ROWS * COLUMNS);
  await memory.run(gatedActivation(tail), { gate_up, out }, { T: MAX_ROWS, F: COLUMNS });
  return memory.read(out);
}

async function normalised({ K, x, norm_weight }: Operands): Promise<Float32Array> {
  const out = await memory.poison("out", 4 * MAX_ROWS * K);
  const buffers = {
    x: await memory.put("x", x),
    weight: await memory.put("weight", norm_weight),
    out,
  };
  await memory.run(rmsNorm, buffers, { T: MAX_ROWS, D: K, eps: EPS });
  return new Float32Array((await memory.read(out)).buffer);
}

function twin(given: Operands, epilogue: Epilogue, norm: boolean): Promise<Uint32Array> {
  const key = `${epilogueName(epilogue)} ${norm} ${given.K} ${given.x[0]} ${given.weight.slice(0, 9)}`;
  const known = twins.get(key) ?? unfused(given, epilogue, norm);
  twins.set(key, known);
  return known;
}

function weightOf({ bindings }: Kernel): { format: WeightFormat; packing: Packing } {
  const packing = bindings.weight!.packing!;
  return { format: weightFormats[packing.format as WeightFormatName], packing };
}

const isNormed = ({ bindings }: Kernel): boolean => "norm_weight" in bindings;

function epilogueOf({ name }: Kernel): Epilogue {
  const known = [false, true].flatMap((bias) =>
    (
      [
        ...(["store", "residual", "silu", "gelu_tanh"] as const),
        ...(["scaled_store", "scaled_residual", "capped_store"] as const),
      ] as const
    ).map((tail) => ({ bias, tail })),
  );
  return known.find((epilogue) => name.endsWith(`].${epilogueName(epilogue)}`))!;
}

/** One dispatch for each range of rows, all in one submission; outputs start poisoned. */
async function ranges(kernel: Kernel, given: Operands, N: number, wanted: readonly Rows[]) {
  const { K, x, weight, bias, residual, norm_weight } = given;
  const { packing } = weightOf(kernel);
  const isGated = kernel.bindings.weight!.shape.startsWith("2*");
  const weights = weight.subarray(0, (isGated ? 2 : 1) * N * K);
  const shared = {
    weight: await memory.put("weight", packing.pack(weights, (isGated ? 2 : 1) * N, K)),
    bias: await memory.put("bias", bias.subarray(0, (isGated ? 2 : 1) * N)),
    norm_weight: await memory.put("norm_weight", norm_weight),
  };
  // Rows apart far enough to bind each.
  const rowBytes = alignUp(4 * K, ALIGNMENT);
  const apart = new Float32Array((MAX_ROWS * rowBytes) / 4);
  for (let t = 0; t < MAX_ROWS; t++) apart.set(x.subarray(t * K, (t + 1) * K), (t * rowBytes) / 4);
  const single = await memory.put("x", apart);
  const together = await memory.put("x", x);

  const offsets: number[] = [];
  let outBytes = 0;
  for (const { count } of wanted) {
    offsets.push(outBytes);
    outBytes += alignUp(4 * count * N, ALIGNMENT);
  }
  const initial = new Uint32Array(outBytes / 4).fill(0x7fff7fff);
  if (kernel.bindings.out!.access === "read_write") {
    const bits = new Uint32Array(residual.buffer);
    for (const [i, { first, count }] of wanted.entries()) {
      initial.set(bits.subarray(first * N, (first + count) * N), offsets[i]! / 4);
    }
  }
  const out = await memory.put("out", initial);

  const calls = wanted.map(({ first, count }, i): KernelCall => {
    const own = {
      x: count === 1 ? part(single, first * rowBytes, 4 * K) : part(together, 0, 4 * count * K),
      out: part(out, offsets[i]!, 4 * count * N),
    };
    const dims = { T: count, N, K, out_stride: N, out_offset: 0, eps: EPS, scale: SCALE };
    return { kernel, buffers: { ...shared, ...own }, dims };
  });
  await device.prepare([{ kernel, constants: {} }]);
  device.record(calls);
  const words = await memory.read(out);
  return wanted.map((rows, i) => {
    const from = offsets[i]! / 4;
    return { rows, bits: words.subarray(from, from + rows.count * N) };
  });
}

const part = ({ buffer, offsetBytes }: BufferSlice, from: number, sizeBytes: number) => ({
  buffer,
  offsetBytes: offsetBytes + from,
  sizeBytes,
});

function reverseRows(matrix: Float32Array, K: number): Float32Array {
  return matrix.map((_, i) => matrix[i - (i % K) + K - 1 - (i % K)]!);
}
