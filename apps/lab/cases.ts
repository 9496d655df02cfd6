/**
 * What is measured: every kernel that models use, at the sizes that a model gives it. Data; runs
 * nothing. Bindings that hold indices get theirs here, all others any numbers.
 */
import {
  anyOrderShapes,
  attentionDecode,
  attentionPrefill,
  attentionReduce,
  blockCopy,
  type Dims,
  embedding,
  gatedActivation,
  int8Shapes,
  type Kernel,
  kvWrite,
  type MatmulShape,
  matmul,
  matmulShapes,
  normal,
  poolRows,
  qkNorm as qkNormOfRows,
  rmsNorm,
  rmsNormResidual,
  rope,
  ropeKvWrite,
  rowCopy,
  rowGather,
  seededRandom,
  shapeNamed,
  shortConv,
  shortConvWrite,
  uniform,
  type WeightFormatName,
} from "../../kernels/index.ts";
import { attentionBatch } from "./attention-batch.ts";
import type { Inputs } from "./contents.ts";
import { expertCases } from "./expert-cases.ts";
import type { LabCase } from "./lab-case.ts";
import { latentCases } from "./latent-cases.ts";
import { layerCases } from "./layer-cases.ts";
import { loadCases } from "./load-cases.ts";
import type { ModelShape } from "./model-shapes.ts";
import { samplingCases } from "./sampling-cases.ts";

export interface CaseOptions {
  /** Of the weights in a role. */
  formatsOf(role: string): readonly WeightFormatName[];
  /** Of the weights that are multiplied in any order, too: some of `formatsOf(role)`. */
  anyOrderFormatsOf?(role: string): readonly WeightFormatName[];
  /** Of the weights that int8 rows are multiplied with, too: they have integer codes. */
  int8FormatsOf?(role: string): readonly WeightFormatName[];
  /** Lanes of a subgroup, where the device has one size. */
  readonly subgroupSize?: number;
}

const EPS = 1e-6;
const B = 32;
const KV = "f16";
/** Of a short convolution. */
const TAPS = 3;

export function casesOf(model: ModelShape, options: CaseOptions): LabCase[] {
  return [
    ...model.rows.flatMap((rows) => matrixCases(model, rows, options)),
    ...model.rows.flatMap((rows) => qkvCases(model, rows, options)),
    ...model.rows.flatMap((rows) => vectorCases(model, rows, options)),
    ...attentionCases(model),
    ...model.rows.flatMap((rows) => latentCases(model, rows, options)),
    ...model.rows.flatMap((rows) =>
      expertCases(model, rows, {
        shapesFor: (T) => shapesFor(T, options),
        formatsOf: options.formatsOf,
      }),
    ),
    ...model.rows.flatMap((rows) => layerCases(model, rows)),
    ...loadCases(model, options),
    ...model.rows.slice(0, 2).flatMap((rows) => samplingCases(model, rows)),
  ];
}

const none = (): Inputs => ({});

interface Matrix {
  readonly role: string;
  readonly N: number;
  readonly K: number;
  readonly norm: boolean;
  readonly tail: "store" | "residual" | "silu";
}

/** The matrix that other libraries multiply too. */
export const SHARED_ROLE = "attention_out";

/** The matrices of a layer, and the LM head. */
export function matricesOf(model: ModelShape): Matrix[] {
  const { hiddenSize: D, ffnSize: F, vocabSize: V, numHeads, numKvHeads, headDim } = model;
  const qkv = (numHeads + 2 * numKvHeads) * headDim;
  return [
    { role: "qkv", N: qkv, K: D, norm: true, tail: "store" },
    { role: SHARED_ROLE, N: D, K: numHeads * headDim, norm: false, tail: "residual" },
    { role: "gate_up", N: F, K: D, norm: true, tail: "silu" },
    { role: "down", N: D, K: F, norm: false, tail: "residual" },
    { role: "lm_head", N: V, K: D, norm: true, tail: "store" },
  ];
}

function matrixCases(model: ModelShape, T: number, options: CaseOptions): LabCase[] {
  const matrices = matricesOf(model).filter(({ role }) => role !== "lm_head" || T <= 16);
  return matrices.map(({ role, N, K, norm, tail }) => ({
    model: model.name,
    operation: "matmul",
    role,
    rows: T,
    kernels: [
      ...shapesFor(T, options).map((shape) => [shape, options.formatsOf(role)] as const),
      ...comparedShapes(T, options).map(
        (shape) => [shape, options.anyOrderFormatsOf?.(role) ?? []] as const,
      ),
      ...ableFor(Object.values(int8Shapes), T, options).map(
        (shape) => [shape, options.int8FormatsOf?.(role) ?? []] as const,
      ),
    ].flatMap(([{ name: shape, prologues }, formats]) =>
      formats.map((format) => {
        const prologue = norm && prologues.includes("norm") ? "norm" : "none";
        return matmul({ format, shape, prologue, epilogue: { bias: false, tail } });
      }),
    ),
    dims: { T, N, K, out_stride: N, out_offset: 0, eps: EPS },
    inputs: none,
  }));
}

/** For few rows of a model without QK-norm, what "qkv" and "rope, cache" do one after the other. */
function qkvCases(model: ModelShape, T: number, options: CaseOptions): LabCase[] {
  const shapes = shapesFor(T, options).filter(({ hasOctets }) => hasOctets);
  if (model.qkNorm || shapes.length === 0) return [];
  const role = "qkv, rope, cache";
  const { hiddenSize, numHeads: heads, numKvHeads: kv_heads, headDim: H, contextTokens } = model;
  const N = (heads + 2 * kv_heads) * H;
  return [
    {
      ...{ model: model.name, operation: "matmul", role, rows: T },
      kernels: shapes.flatMap((shape) =>
        options.formatsOf(role).map((format) => {
          const epilogue = { bias: false, tail: `rope_kv_${KV}` } as const;
          return matmul({ format, shape: shape.name, prologue: "norm", epilogue });
        }),
      ),
      dims: {
        ...{ T, N, K: hiddenSize, out_stride: N, out_offset: 0, eps: EPS },
        ...{ heads, kv_heads, H, R: H, B, P: 1 + Math.ceil(T / B), C: contextTokens },
      },
      inputs: () => ({ token_places: tokenPlaces(model, T) }),
    },
  ];
}

/** Of the shapes that take so many rows, those made for the fewest: what the engine runs. */
const shapesFor = (T: number, options: CaseOptions): MatmulShape[] =>
  ableFor(Object.values<MatmulShape>(matmulShapes), T, options);

/** Those that add in any order, and their like in the numeric class where the engine starts without. */
function comparedShapes(T: number, options: CaseOptions): MatmulShape[] {
  const like = anyOrderShapes.flatMap(({ name }) => shapeNamed(name.replace(/_any$/, "")) ?? []);
  const others = like.filter(({ name }) => !(name in matmulShapes));
  return ableFor([...anyOrderShapes, ...others], T, options);
}

function ableFor(shapes: readonly MatmulShape[], T: number, { subgroupSize }: CaseOptions) {
  const able = shapes.filter(({ maxRows, name }) => {
    const lanes = /_(?:subgroup|broadcast)(\d+)/.exec(name)?.[1];
    return maxRows >= T && (lanes === undefined || Number(lanes) === subgroupSize);
  });
  const fewest = Math.min(...able.map(({ maxRows }) => maxRows));
  return able.filter(({ maxRows }) => maxRows === fewest);
}

function vectorCases(model: ModelShape, T: number, { formatsOf }: CaseOptions): LabCase[] {
  const { hiddenSize: D, vocabSize: V, ffnSize: F, headDim: H, qkNorm } = model;
  const { numHeads: N, numKvHeads: K, contextTokens } = model;
  const blocks = Math.ceil(T / B);
  const P = 1 + blocks;
  const count = (by: (i: number) => number) => Uint32Array.from({ length: T }, (_, i) => by(i));
  const slots = () => count((i) => B + i);
  const positions = () => count((i) => i % contextTokens);
  const rowsOf = (role: string, kernels: readonly Kernel[], dims: Dims, inputs = none) => ({
    ...{ model: model.name, rows: T, role, dims, inputs },
    operation: kernels[0].name.replace(/[.[].*/, ""),
    kernels,
  });
  const convolution = { T, D, L: TAPS, P, B };
  const tapSlots = () => ({
    tap_slots: Uint32Array.from({ length: TAPS * T }, (_, i) =>
      Math.max(0, B + Math.floor(i / TAPS) + (i % TAPS) + 1 - TAPS),
    ),
  });
  const embeddings = formatsOf("embed").map((format) => embedding(format));
  return [
    rowsOf("embed", embeddings, { T, D, V, first_row: 0, slots: 1 }, () => ({
      token_ids: count((i) => (7919 * i) % V),
      last_token: Uint32Array.of(0),
    })),
    rowsOf("norm", [rmsNorm], { T, D, eps: EPS }),
    rowsOf("norm after a block", [rmsNormResidual], { T, D, eps: EPS }),
    rowsOf("norm of all queries, of all keys", [qkNormOfRows], {
      ...{ T, N, K, H, eps: EPS },
      ...{ qk_heads: N + K, qkv_heads: N + 2 * K },
    }),
    rowsOf("activation", [gatedActivation("silu")], { T, F }),
    rowsOf(
      "rope, cache",
      [ropeKvWrite({ storage: KV, qkNorm })],
      { T, N, K, P, B, H, R: H, C: contextTokens, eps: EPS, qkv_heads: N + 2 * K },
      () => ({ token_places: tokenPlaces(model, T) }),
    ),
    rowsOf("rope alone", [rope], { T, N, H, R: H, C: contextTokens }, () => ({
      positions: positions(),
    })),
    rowsOf("cache alone", [kvWrite(KV)], { T, K, P, B, H }, () => ({ slot_mapping: slots() })),
    rowsOf(
      "short convolution",
      [false, true].map((bias) => shortConv({ bias })),
      convolution,
      tapSlots,
    ),
    rowsOf("its cache", [shortConvWrite], convolution, tapSlots),
    rowsOf("sampled rows", [rowGather], { T, R: T, D }, () => ({ rows: count((i) => T - 1 - i) })),
    rowsOf("parked rows", [rowCopy], { T, R: T, P: T, D }, () => ({
      from_rows: count((i) => T - 1 - i),
      to_rows: count((i) => i),
    })),
    rowsOf("embedding", [poolRows], { T, D, S: 1, P: 1, poolRows: T, goneOn: 0 }, () => ({
      spans: Uint32Array.of(0, 0, T, 1),
    })),
    rowsOf("fork", [blockCopy], { N: blocks, W: (2 * K * B * H) / 2, P: 2 * blocks }, () => ({
      copies: Uint32Array.from({ length: 2 * blocks }, (_, i) => (i >> 1) + (i & 1) * blocks),
      kv_pool: new Uint32Array(2 * blocks * K * B * H),
    })),
  ];
}

/** Positions from 0 on, slots from block 1 on. */
function tokenPlaces({ contextTokens }: ModelShape, T: number): Uint32Array {
  const places = new Uint32Array(2 * T);
  for (let t = 0; t < T; t++) places.set([t % contextTokens, B + t], 2 * t);
  return places;
}

export const attentionRole = ({ contextTokens }: ModelShape): string =>
  `attention, ${contextTokens} positions`;

function attentionCases(model: ModelShape): LabCase[] {
  const [single, batch, prompt] = model.rows;
  const role = attentionRole(model);
  const decode = [single, batch].flatMap((sequences): LabCase[] => {
    const { dims, inputs } = attentionBatch(
      model,
      Array.from({ length: sequences }, () => ({
        firstPosition: model.contextTokens - 1,
        numRows: 1,
      })),
    );
    const { W, J, H } = dims;
    const common = { model: model.name, rows: sequences, dims };
    return [
      {
        ...{ ...common, operation: "attention_decode", role },
        kernels: [attentionDecode(KV)],
        inputs,
      },
      {
        ...{ ...common, operation: "attention_reduce", role },
        kernels: [attentionReduce],
        inputs: () => ({ ...inputs(), partials: partials(W * J, H) }),
      },
    ];
  });
  const { dims, inputs } = attentionBatch(model, [{ firstPosition: 0, numRows: prompt }]);
  return [
    ...decode,
    {
      ...{ model: model.name, rows: prompt, dims, inputs },
      ...{ operation: "attention_prefill", role },
      kernels: [attentionPrefill(KV)],
    },
  ];
}

/** As decode leaves them: per tile and quad a maximum, a sum that is positive, and H outputs. */
function partials(count: number, H: number): Float32Array {
  const random = seededRandom(5);
  const values = normal(count * (H + 2) * 4, random);
  for (let i = 0; i < count; i++) values.set(uniform(4, 1, 9, random), (i * (H + 2) + 1) * 4);
  return values;
}
