/**
 * Whether a QKV matrix that rotates in its epilogue gives, on this device, the bits of the norm, the
 * matrix and `rope_kv_write` one after another: a prompt and its answer may take either way.
 */
import { matmulKernel } from "../kernels/matmul-kernel.ts";
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import { normal, seededRandom, uniform } from "../kernels/probe.ts";
import { rmsNorm } from "../kernels/rms-norm.ts";
import { probeTable } from "../kernels/rope.ts";
import { type RotatingEpilogue, storageOf } from "../kernels/rope-kv-epilogue.ts";
import { probePlaces, ropeKvWrite } from "../kernels/rope-kv-write.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";
import { bytesToFloats, type Device } from "./device.ts";
import { runProbe } from "./probe-runner.ts";

/** Heads of q, k and v, of which a part rotates. One block of the largest: the order of sums is not in doubt here. */
const HEADS = { heads: 2, kv_heads: 1, H: 64, R: 48, B: 32, P: 3, C: 40 } as const;
const ROWS = (HEADS.heads + 2 * HEADS.kv_heads) * HEADS.H;
const K = 256;
const EPS = 1e-5;
const MOST_ROWS = 7;

/**
 * @param shapes By rising rows; the last is run without the epilogue.
 * @returns Names of those whose bits differ.
 */
export async function otherRotations(
  device: Device,
  format: WeightFormatName,
  shapes: readonly MatmulShape[],
  epilogue: RotatingEpilogue,
): Promise<string[]> {
  const random = seededRandom(3);
  const weight = normal(ROWS * K, random, K ** -0.5);
  const norm_weight = uniform(K, 0.5, 1.5, random);
  const bias = normal(ROWS, random);
  const rope_table = probeTable(HEADS.H, HEADS.R, HEADS.C);
  const x = normal(MOST_ROWS * K, random);
  const token_places = probePlaces({ T: MOST_ROWS, ...HEADS }, random);
  const rows = (T: number) => ({
    ...{ weight, norm_weight, bias, rope_table },
    ...{ x: x.subarray(0, T * K), token_places: token_places.subarray(0, 2 * T) },
  });
  const common = { ...HEADS, K, N: ROWS, out_stride: ROWS, out_offset: 0, eps: EPS };

  const norm = await runProbe(device, rmsNorm, {
    dims: { T: MOST_ROWS, D: K, eps: EPS },
    inputs: () => ({ x, weight: norm_weight }),
  });
  const store = { bias: epilogue.bias, tail: "store" } as const;
  const plain = matmulKernel({ format, shape: shapes.at(-1)!, epilogue: store });
  const product = await runProbe(device, plain, {
    dims: { ...common, T: MOST_ROWS },
    inputs: () => ({ ...rows(MOST_ROWS), x: bytesToFloats(norm.outputs.out) }),
  });
  const qkv = bytesToFloats(product.outputs.out);
  const { heads, kv_heads } = HEADS;
  const apart = (T: number) =>
    runProbe(device, ropeKvWrite({ storage: storageOf(epilogue.tail), qkNorm: false }), {
      dims: { ...HEADS, T, N: heads, K: kv_heads, qkv_heads: heads + 2 * kv_heads },
      inputs: () => ({ ...rows(T), qkv: qkv.subarray(0, T * ROWS) }),
    });

  const others: string[] = [];
  for (const shape of shapes.filter(({ hasOctets }) => hasOctets)) {
    const T = Math.min(shape.maxRows, MOST_ROWS);
    const kernel = matmulKernel({ format, shape, prologue: "norm", epilogue });
    const fused = await runProbe(device, kernel, { dims: { ...common, T }, inputs: () => rows(T) });
    const expected = await apart(T);
    const differs = (["q", "kv_pool"] as const).some((output) => {
      const bytes = expected.outputs[output];
      return fused.outputs[output].some((byte, i) => byte !== bytes[i]);
    });
    if (differs) others.push(kernel.name);
  }
  return others;
}
