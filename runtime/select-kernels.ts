/**
 * Chooses between kernel variants by what the device proves at load: several matrix shapes only where
 * they agree bit for bit, subgroups only where they do too. Reports every demotion.
 */
import type { Kernel } from "../kernels/kernel.ts";
import { matmulKernel } from "../kernels/matmul-kernel.ts";
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import { normal, seededRandom, uniform } from "../kernels/probe.ts";
import { rmsNorm } from "../kernels/rms-norm.ts";
import type { RotatingEpilogue } from "../kernels/rope-kv-epilogue.ts";
import { type WeightFormatName, weightFormats } from "../kernels/weight-format.ts";
import type { MatmulChoice, MatmulChoices } from "../models/matmul-choice.ts";
import { bytesToFloats, type Device } from "./device.ts";
import { reasonOf } from "./errors.ts";
import { runProbe } from "./probe-runner.ts";
import { otherRotations } from "./rotation-check.ts";
import {
  type Activations,
  type AgreeingShapes,
  type Family,
  familiesFor,
} from "./shape-families.ts";

export interface KernelChoice {
  readonly matmul: MatmulChoices;
  /** Variants that were tried and given up, each with its reason. */
  readonly demoted: readonly string[];
  /** Whether a row's bits are the same by every shape. */
  readonly invariant: boolean;
}

const STORE = { bias: false, tail: "store" } as const;

/** QKV matrices that may rotate in their epilogue. */
export interface RotatingMatrices {
  readonly formats: ReadonlySet<WeightFormatName>;
  readonly epilogue: RotatingEpilogue;
}

/**
 * @param formats Of the matrices that a model has.
 * @param options.invariant Default true; false takes shapes in no numeric class, on GPUs.
 * @param options.activations Default f32; with i8 formats without integer codes stay with f32, and so
 *   do experts.
 * @param options.stacks Of the formats, those of stacks of experts.
 * @throws {WeftError} `kernel_rejected` where a device builds no shape for a format.
 */
export async function selectKernels(
  device: Device,
  formats: ReadonlySet<WeightFormatName>,
  qkv?: RotatingMatrices,
  options: {
    readonly invariant?: boolean;
    readonly activations?: Activations;
    readonly stacks?: ReadonlySet<WeightFormatName>;
  } = {},
): Promise<KernelChoice> {
  const demoted: string[] = [];
  const matmul = new Map<WeightFormatName, MatmulChoice>();
  const { invariant: asked = true, activations = "f32" } = options;
  const invariant = asked || device.info.kind === "reference";
  for (const format of formats) {
    const isInt8 = activations === "i8" && weightFormats[format].integer !== undefined;
    const shapes = isInt8
      ? await agreeingShapes(device, format, [(await optional()).int8Family], demoted)
      : invariant
        ? await agreeingShapes(device, format, familiesFor(device.info), demoted)
        : (await optional()).anyOrderFamily(device.info);
    const epilogue = qkv?.formats.has(format) && shapes.fusesNorm ? qkv.epilogue : undefined;
    const fusesRope = await rotatesAlike(device, format, shapes, epilogue, demoted);
    const experts = options.stacks?.has(format)
      ? await expertShapes(device, format, isInt8 ? undefined : shapes, invariant, demoted)
      : undefined;
    matmul.set(format, { ...shapes, fusesRope, experts });
  }
  return { matmul, demoted, invariant };
}

/** Of other matrices, if these are for f32 rows: one of them where they differ by experts. */
async function expertShapes(
  device: Device,
  format: WeightFormatName,
  given: AgreeingShapes | undefined,
  invariant: boolean,
  demoted: string[],
): Promise<AgreeingShapes> {
  const choice = given ?? (await agreeingShapes(device, format, familiesFor(device.info), demoted));
  if (!invariant || device.info.kind === "reference") return choice;
  const { otherExpertShapes } = await import("./expert-check.ts");
  const others = await otherExpertShapes(device, format, choice);
  if (others.length === 0) return choice;
  demoted.push(...others.map((name) => `${name}: other bits than by blocks after rms_norm`));
  return { shapes: choice.shapes.slice(-1), fusesNorm: false };
}

/** Few engines are asked for them. */
const optional = () => import("./optional-families.ts");

async function rotatesAlike(
  device: Device,
  format: WeightFormatName,
  { shapes }: AgreeingShapes,
  epilogue: RotatingEpilogue | undefined,
  demoted: string[],
): Promise<boolean> {
  if (!epilogue) return false;
  if (device.info.kind === "reference") return true;
  try {
    const others = await otherRotations(device, format, shapes, epilogue);
    demoted.push(
      ...others.map((name) => `${name}: other bits than rope_kv_write after the matrix`),
    );
    return others.length === 0;
  } catch (error) {
    demoted.push(`matmul[${format}].${epilogue.tail}: ${reasonOf(error)}`);
    return false;
  }
}

const normed = (format: WeightFormatName, shape: MatmulShape): Kernel =>
  matmulKernel({ format, shape, prologue: "norm", epilogue: STORE });

async function agreeingShapes(
  device: Device,
  format: WeightFormatName,
  families: readonly Family[],
  demoted: string[],
): Promise<AgreeingShapes> {
  if (device.info.kind === "reference") {
    const { one, more } = families.at(-1)!;
    return { shapes: [...one, ...more], fusesNorm: true };
  }
  for (const family of families.slice(0, -1)) {
    try {
      return await agreeingOf(device, format, family, demoted);
    } catch (error) {
      demoted.push(`matmul.${family.more[0].name}[${format}]: ${reasonOf(error)}`);
    }
  }
  return agreeingOf(device, format, families.at(-1)!, demoted);
}

/**
 * The shapes of a family that give the same rows the same bits, norm fused or not. Where those for
 * more rows differ, one kernel serves all row counts; where only a kernel for one row does, the next
 * best is taken.
 */
async function agreeingOf(
  device: Device,
  format: WeightFormatName,
  { one, more }: Family,
  demoted: string[],
): Promise<AgreeingShapes> {
  const [few] = more;
  const many = more.at(-1)!;
  const compared = new Comparison(device, format, many);
  if (!(await compared.agrees(few))) {
    demoted.push(
      `matmul.${many.name}[${format}]: other bits after rms_norm than matmul.${few.name} with the norm fused`,
    );
    return { shapes: [few], fusesNorm: false };
  }
  for (const shape of one) {
    try {
      if (await compared.agrees(shape)) return { shapes: [shape, ...more], fusesNorm: true };
      demoted.push(
        `matmul.${shape.name}[${format}]: other bits than ${more.map(({ name }) => `matmul.${name}`).join(" and ")}`,
      );
    } catch (error) {
      demoted.push(`matmul.${shape.name}[${format}]: ${reasonOf(error)}`);
    }
  }
  return { shapes: more, fusesNorm: true };
}

/** One normalised matrix product by any shape, against `rms_norm` followed by `plain`. */
export class Comparison {
  readonly #device: Device;
  readonly #format: WeightFormatName;
  readonly #plain: MatmulShape;
  #expected: Promise<Uint8Array> | undefined;

  constructor(device: Device, format: WeightFormatName, plain: MatmulShape) {
    this.#device = device;
    this.#format = format;
    this.#plain = plain;
  }

  async agrees(shape: MatmulShape): Promise<boolean> {
    this.#expected ??= this.#unfused(this.#plain);
    if (!shape.prologues.includes("norm")) {
      return sameBytes(await this.#unfused(shape), await this.#expected);
    }
    const T = Math.min(shape.maxRows, MOST_ROWS);
    const { x, weight, norm_weight } = operands(T);
    const dims = { ...SIZES, T, eps: EPS };
    const inputs = () => ({ x, weight, norm_weight });
    const probed = await runProbe(this.#device, normed(this.#format, shape), { dims, inputs });
    return sameBytes(probed.outputs.out, (await this.#expected).subarray(0, 4 * T * SIZES.N));
  }

  async #unfused(shape: MatmulShape): Promise<Uint8Array> {
    const { x, weight, norm_weight } = operands(MOST_ROWS);
    const norm = await runProbe(this.#device, rmsNorm, {
      dims: { T: MOST_ROWS, D: SIZES.K, eps: EPS },
      inputs: () => ({ x, weight: norm_weight }),
    });
    const kernel = matmulKernel({ format: this.#format, shape, epilogue: STORE });
    const product = await runProbe(this.#device, kernel, {
      dims: { ...SIZES, T: MOST_ROWS },
      inputs: () => ({ x: bytesToFloats(norm.outputs.out), weight }),
    });
    return product.outputs.out;
  }
}

const EPS = 1e-5;
const MOST_ROWS = 7;
/** Whole blocks of every format, and more chunks than a workgroup has lanes. */
const SIZES = { N: 40, K: 1280, out_stride: 40, out_offset: 0 } as const;

/** The same first rows for any T. */
function operands(T: number) {
  const random = seededRandom(1);
  const { N, K } = SIZES;
  const weight = normal(N * K, random, 1 / Math.sqrt(K));
  const norm_weight = uniform(K, 0.5, 1.5, random);
  return { x: normal(T * K, random), weight, norm_weight };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);
