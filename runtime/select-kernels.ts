/**
 * Chooses between kernel variants by what the device proves at load: native f16 only where it gives
 * the right answer, several matrix shapes only where they agree bit for bit. Reports every demotion.
 */
import type { Kernel } from "../kernels/kernel.ts";
import { matmul, matmulShapes } from "../kernels/matmul.ts";
import { normal } from "../kernels/probe.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";
import type { Device } from "./device.ts";
import { runProbe } from "./probe-runner.ts";
import type { WeightDtype } from "./weights/dtype.ts";

export interface KernelChoice {
  format(dtype: WeightDtype): WeightFormatName;
  /** False: the driver reorders sums between pipelines, so `small_m` serves every row count. */
  readonly shapesAgree: boolean;
  /** Variants that were tried and given up, each with its reason. */
  readonly demoted: readonly string[];
}

const STORE = { bias: false, tail: "store" } as const;

export async function selectKernels(
  device: Device,
  dtypes: ReadonlySet<WeightDtype>,
): Promise<KernelChoice> {
  const demoted: string[] = [];
  const native = dtypes.has("f16") && (await nativeF16Works(device, demoted));
  const format = (dtype: WeightDtype) => (dtype === "f16" && native ? "f16_native" : dtype);
  const [dtype = "f32"] = dtypes;
  const shapesAgree = await compareShapes(device, format(dtype), demoted);
  return { format, shapesAgree, demoted };
}

async function nativeF16Works(device: Device, demoted: string[]): Promise<boolean> {
  if (!device.info.features.includes("shader-f16")) return false;
  const kernel = matmul({ format: "f16_native", shape: "gemv", epilogue: STORE });
  const problem = await firstProblem(device, kernel);
  if (problem) demoted.push(`${kernel.name}: ${problem}`);
  return problem === "";
}

async function firstProblem(device: Device, kernel: Kernel): Promise<string> {
  try {
    for (const probe of kernel.probes) {
      const { problem } = await runProbe(device, kernel, probe);
      if (problem) return problem;
    }
    return "";
  } catch (error) {
    return String(error);
  }
}

/** One matrix through all three shapes: the same rows must have the same bits. */
async function compareShapes(
  device: Device,
  format: WeightFormatName,
  demoted: string[],
): Promise<boolean> {
  if (device.info.kind === "reference") return true;
  const [N, K] = [40, 1056];
  const rows: Uint8Array[][] = [];
  for (const shape of Object.values(matmulShapes)) {
    const kernel = matmul({ format, shape: shape.name, epilogue: STORE });
    const T = shape.name === "gemv" ? 1 : 7;
    const dims = { T, N, K, out_stride: N, out_offset: 0 };
    const { outputs } = await runProbe(device, kernel, {
      dims,
      inputs: (random) => ({
        weight: normal(N * K, random, 1 / Math.sqrt(K)),
        x: normal(T * K, random),
      }),
    });
    rows.push(
      Array.from({ length: T }, (_, t) => outputs.out.subarray(4 * N * t, 4 * N * (t + 1))),
    );
  }
  const [gemv, smallM, tile] = rows;
  const agree =
    sameBytes(gemv[0], tile[0]) && smallM.every((row, index) => sameBytes(row, tile[index]));
  if (!agree) demoted.push("matmul.gemv and matmul.tile: other bits than matmul.small_m");
  return agree;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);
