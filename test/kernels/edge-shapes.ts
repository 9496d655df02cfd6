// Known-answer inputs beyond a kernel's own probes: sizes off by one round each tile, padded and
// offset outputs, activations near f16's limit, zeros. Kernels whose own tests choose sizes
// (attention, sampling) get only what the byte count needs.

import { attentionProbe } from "../../kernels/attention-probes.ts";
import { FROM_SLOT } from "../../kernels/embedding.ts";
import { headMatmulProbe } from "../../kernels/head-matmul.ts";
import { roundsNormed, steadied } from "../../kernels/int8-activations.ts";
import { type Dims, type Kernel, type Probe, scalarCount } from "../../kernels/kernel.ts";
import { probeSlots } from "../../kernels/kv-write.ts";
import { latentProbe } from "../../kernels/latent-probes.ts";
import { latentWriteProbe } from "../../kernels/latent-write.ts";
import { lowRankProbe } from "../../kernels/low-rank.ts";
import { type WeightFormatName, weightFormats } from "../../kernels/packed-formats.ts";
import { normal, uniform } from "../../kernels/probe.ts";
import { probeTable } from "../../kernels/rope.ts";
import { probePlaces } from "../../kernels/rope-kv-write.ts";
import { alignUp } from "../../runtime/device.ts";

type Random = () => number;
type Inputs = Record<string, Float32Array | Uint32Array>;
type Activations = "normal" | "large" | "zeros";

/** The first is as plain as the kernel's own, so that `cost` is exact for it. */
export function edgeShapes(kernel: Kernel): readonly Probe[] {
  const [family, shape] = kernel.name.split(/[.[\]]/);
  const probes = families[family!]?.(kernel, shape!) ?? [];
  // Between two codes a normalised value may become either.
  return roundsNormed(kernel) ? probes.map(steadied) : probes;
}

const families: Record<string, (kernel: Kernel, shape: string) => readonly Probe[]> = {
  matmul: (kernel, shape) => {
    // Those of experts bring blocks with rests, and experts that are not theirs, as their own probes.
    if (kernel.params.experts) return [];
    return (kernel.params.kv_heads ? qkvShapes : matmulShapes)(kernel, shape);
  },
  rms_norm: (kernel) => [
    ...[4, 28, 36, 992, 1024, 1056, 2016, 2048, 2052, 2080].map((D) =>
      plain(kernel, { T: 2, D, eps: 1e-5 }),
    ),
    plain(kernel, { T: 3, D: 96, eps: 1e-6 }, "large"),
    plain(kernel, { T: 3, D: 96, eps: 1e-6 }, "zeros"),
  ],
  rms_norm_residual: (kernel) => [
    ...[4, 28, 2052, 2080].map((D) => plain(kernel, { T: 2, D, eps: 1e-5 })),
    plain(kernel, { T: 3, D: 96, eps: 1e-6 }, "zeros"),
  ],
  qk_norm: (kernel) =>
    [
      { T: 3, N: 3, K: 3, H: 36 },
      { T: 2, N: 32, K: 1, H: 64 },
    ].flatMap(({ N, K, ...sizes }) =>
      (["normal", "large", "zeros"] as const).map((activations) =>
        plain(
          kernel,
          { ...sizes, N, K, eps: 1e-5, qk_heads: N + K, qkv_heads: N + 2 * K },
          activations,
        ),
      ),
    ),
  gated_activation: (kernel) => [
    ...[1, 63, 64, 65, 127, 128, 129].map((F) => plain(kernel, { T: 3, F })),
    plain(kernel, { T: 2, F: 100 }, "large"),
    plain(kernel, { T: 2, F: 100 }, "zeros"),
  ],
  row_copy: (kernel) =>
    [252, 256, 260, 508, 512, 516].map((D) =>
      plain(kernel, { T: 5, R: 4, P: 6, D }, "large", (random) => ({
        from_rows: Uint32Array.from({ length: 4 }, () => Math.floor(random() * 5)),
        to_rows: Uint32Array.of(5, 0, 3, 2),
      })),
    ),
  block_copy: (kernel) =>
    [252, 256, 260, 508, 512, 516].map((W) => ({
      dims: { P: 6, N: 3, W },
      inputs: (random) => ({
        copies: Uint32Array.of(1, 5, 1, 2, 4, 3),
        kv_pool: Uint32Array.from(
          { length: scalarCount(kernel.bindings.kv_pool!.shape, { P: 6, W }) },
          () => random() * 2 ** 32,
        ),
      }),
    })),
  row_gather: (kernel) =>
    [252, 256, 260, 508, 512, 516].map((D) =>
      plain(kernel, { T: 5, R: 4, D }, "large", (random) => ({
        rows: Uint32Array.from({ length: 4 }, () => Math.floor(random() * 5)),
      })),
    ),
  block_influence: (kernel) => [
    ...[4, 28, 36, 2016, 2048, 2052, 2080].map((D) => plain(kernel, { T: 2, D })),
    plain(kernel, { T: 3, D: 96 }, "large"),
    plain(kernel, { T: 3, D: 96 }, "zeros"),
  ],
  window_means: (kernel) =>
    [
      ...[7, 8, 9, 15, 16].map((n) => ({ n, D: 252 + 4 * (n % 3) })),
      ...[8 * 31, 8 * 32, 8 * 33].map((n) => ({ n, D: 4 })),
    ].flatMap((sizes) =>
      (["normal", "large"] as const).map((activations) =>
        plain(kernel, { ...sizes, T: sizes.n + 3, first_row: 2 }, activations),
      ),
    ),
  layer_router: (kernel) =>
    [
      { W: 8, D: 4 },
      { W: 3, D: 28 },
      { W: 4, D: 36 },
      { W: 7, D: 2052 },
    ].map((sizes) => {
      const dims = { ...sizes, S: 2, slot: 0 };
      return plain(kernel, dims, "normal", (random) => ({
        weight_in: normal(scalarCount(kernel.bindings.weight_in!.shape, dims), random, 0.1),
      }));
    }),
  low_rank: () =>
    [
      { D: 4, r: 64 },
      { D: 28, r: 4 },
      { D: 1020, r: 28 },
      { D: 1024, r: 32 },
      { D: 1060, r: 40 },
    ].map((sizes) => lowRankProbe({ ...sizes, T: 5, R: 2 })),
  embedding: (kernel) => [
    ...[224, 256, 288, 2080].map((D) =>
      embedded(kernel, D, ({ first_row, V }) => [first_row, first_row + V - 1]),
    ),
    // From the sampler's slots, and outside the shard on both sides.
    embedded(kernel, 64, () => [FROM_SLOT, FROM_SLOT + 2, 4, FROM_SLOT + 1]),
    embedded(kernel, 64, ({ first_row, V }) => [first_row - 1, first_row, first_row + V, 0]),
  ],
  rope: (kernel) =>
    [
      { T: 3, N: 2, H: 124, R: 120 },
      { T: 2, N: 3, H: 128, R: 64 },
      { T: 2, N: 1, H: 132, R: 128 },
    ].map((sizes) => {
      const dims = { ...sizes, C: 40 };
      return plain(kernel, dims, "normal", (random) => rotation(dims, random));
    }),
  kv_write: (kernel) =>
    [
      { T: 1, K: 1, H: 252 },
      { T: 4, K: 2, H: 128 },
      { T: 3, K: 5, H: 52 },
    ].flatMap((dims) =>
      (["normal", "large", "zeros"] as const).map((activations) =>
        slotted(kernel, { ...dims, P: 4, B: 16 }, activations),
      ),
    ),
  rope_kv_write: (kernel) =>
    [
      { T: 2, N: 4, K: 2, H: 124, R: 120 },
      { T: 3, N: 3, K: 1, H: 128, R: 64 },
      { T: 2, N: 2, K: 2, H: 132, R: 128 },
    ].flatMap((dims) =>
      (["normal", "large", "zeros"] as const).map((activations) =>
        slotted(
          kernel,
          { ...dims, P: 3, B: 32, C: 40, eps: 1e-5, qkv_heads: dims.N + 2 * dims.K },
          activations,
        ),
      ),
    ),
  attention_decode: () => attended("decode"),
  attention_reduce: () => attended("decode"),
  attention_prefill: () => attended("prefill"),
  latent_decode: () => latentAttended("decode"),
  latent_prefill: () => latentAttended("prefill"),
  latent_write: () =>
    [
      { T: 2, N: 5, H: 256, R: 8, Y: 20 },
      { T: 4, N: 2, H: 288, R: 264, Y: 264 },
    ].flatMap((sizes) =>
      [1, 2e4].map((spread) =>
        latentWriteProbe({ ...sizes, P: 4, B: 16, C: 40, eps: 1e-5 }, spread),
      ),
    ),
  head_matmul: ({ name }) => {
    const format = /\[(\w+)\]/.exec(name)![1] as WeightFormatName;
    return [
      { T: 8, N: 1, D: 4, L: 32, head_rows: 4, first_row: 0, x_head: 32, out_head: 32 },
      { T: 3, N: 5, D: 64, L: 480, head_rows: 70, first_row: 1, x_head: 480, out_head: 484 },
      { T: 1, N: 2, D: 100, L: 544, head_rows: 101, first_row: 1, x_head: 544, out_head: 544 },
    ].map((sizes) => headMatmulProbe(format, sizes));
  },
};

/** Of the constants of the kernels' first probe, as below: heads in one group and in three. */
const latentAttended = (mode: "decode" | "prefill"): Probe[] =>
  [
    { N: 1, ranges: [30, 127] },
    { N: 17, ranges: [60, 0, 31] },
  ].map(({ N, ranges }) =>
    latentProbe(
      {
        ...{ N, H: 32, R: 8, B: 32 },
        ranges: ranges.map((firstPosition, i) => ({ firstPosition, numRows: 2 + 3 * i })),
      },
      mode,
    ),
  );

/** Rows round 8, 16 and 32, columns round 8, 32 and 64, sums round 1,024. */
function matmulShapes(kernel: Kernel, shape: string): Probe[] {
  const broadcast = shape.includes("_broadcast");
  // Names of other sizes than the portable ones begin as theirs do.
  const [family] = /^(small_m|tile)?/.exec(shape)!;
  const rows = {
    small_m: [1, 7, 8, 9, 15, 16],
    tile: broadcast ? [1, 7, 8, 9, 16, 17] : [1, 4, 16, 31, 32, 33],
  }[family] ?? [1];
  const columns = broadcast ? [7, 63, 64, 65, 127, 128, 129, 1] : [7, 8, 9, 31, 32, 33, 65, 1];
  const depths = [64, 992, 1024, 1056, 2048, 32];
  const sizes = columns.map((N, i) => ({
    T: rows[i % rows.length]!,
    N,
    K: wholeBlocks(kernel, depths[i % depths.length]!),
    ...{ eps: 1e-5, scale: 0.22 },
    // A part of a wider matrix, as fused projections store it.
    out_stride: i % 2 === 0 ? N : N + 5,
    out_offset: i % 2 === 0 ? 0 : 3,
  }));
  const [last] = rows.slice(-1);
  const extreme = {
    T: last!,
    N: 35,
    K: wholeBlocks(kernel, 96),
    out_stride: 35,
    out_offset: 0,
    ...{ eps: 1e-5, scale: 0.22 },
  };
  return [
    ...sizes.map((dims) => multiplied(kernel, dims, "normal")),
    multiplied(kernel, extreme, "large"),
    multiplied(kernel, extreme, "zeros"),
  ];
}

/** Heads that rotate whole, in part, by one octet or not; all of the matrix, a part of K and V, V. */
function qkvShapes(kernel: Kernel, shape: string): Probe[] {
  const rows = shape.startsWith("small_m") ? [7, 8, 9, 16, 2] : [1];
  const shapes = [
    { heads: 4, kv_heads: 2, H: 120, R: 120, K: 64, B: 32, from: 0, count: 8 },
    { heads: 3, kv_heads: 1, H: 128, R: 64, K: 992, B: 16, from: 0, count: 4 },
    { heads: 2, kv_heads: 2, H: 136, R: 128, K: 1056, B: 32, from: 3, count: 3 },
    { heads: 1, kv_heads: 1, H: 256, R: 0, K: 2048, B: 32, from: 2, count: 1 },
    { heads: 5, kv_heads: 1, H: 64, R: 8, K: 32, B: 16, from: 0, count: 7 },
  ];
  return shapes.flatMap(({ from, count, K, ...sizes }, i) => {
    const { heads, kv_heads, H } = sizes;
    const dims = {
      ...{ ...sizes, T: rows[i % rows.length]!, N: count * H, K: wholeBlocks(kernel, K) },
      ...{ out_stride: (heads + 2 * kv_heads) * H, out_offset: from * H },
      ...{ P: 4, C: 40, eps: 1e-5 },
    };
    const kinds = i === 0 ? (["normal", "large", "zeros"] as const) : (["normal"] as const);
    return kinds.map((kind) =>
      plain(kernel, dims, kind, (random) => ({
        weight: normal(dims.N * dims.K, random, dims.K ** -0.5),
        ...placed(dims, random),
      })),
    );
  });
}

/** Formats know no rows that end inside a block. */
function wholeBlocks({ bindings }: Kernel, columns: number): number {
  const format = weightFormats[bindings.weight!.packing!.format as WeightFormatName];
  return alignUp(columns, format.block.weights);
}

const multiplied = (kernel: Kernel, dims: Dims, activations: Activations): Probe =>
  plain(kernel, dims, activations, (random) => ({
    weight: normal(scalarCount(kernel.bindings.weight!.shape, dims), random, dims.K! ** -0.5),
  }));

function embedded(
  kernel: Kernel,
  width: number,
  ids: (dims: Dims & { first_row: number; V: number }) => number[],
): Probe {
  const D = wholeBlocks(kernel, width);
  const shard = { D, V: 6, first_row: 3, slots: 3, scale: 1.7 };
  const token_ids = Uint32Array.from(ids(shard));
  return plain(kernel, { ...shard, T: token_ids.length }, "normal", (random) => ({
    weight: normal(shard.V * D, random),
    token_ids,
    last_token: Uint32Array.of(5, 3, 8),
  }));
}

const rotation = ({ T, C, H, R }: Dims, random: Random): Inputs => ({
  positions: Uint32Array.from({ length: T! }, () => Math.floor(random() * C!)),
  rope_table: probeTable(H!, R!, C!),
});

const slotted = (kernel: Kernel, dims: Dims, activations: Activations): Probe =>
  plain(kernel, dims, activations, (random) =>
    dims.C ? placed(dims, random) : { slot_mapping: probeSlots(dims as Slots) },
  );

type Slots = Dims & { T: number; P: number; B: number };
const placed = (dims: Dims, random: Random): Inputs => ({
  token_places: probePlaces(dims as Slots & { C: number }, random),
  rope_table: probeTable(dims.H!, dims.R!, dims.C!),
});

/** Of the constants of the kernels' first probe, so that no pipeline more is compiled. */
const attended = (mode: "decode" | "prefill"): Probe[] =>
  [
    { N: 3, K: 1, window: 40, ranges: [30, 127] },
    { N: 3, K: 3, window: 0, ranges: [60, 0, 31] },
  ].map(({ ranges, ...heads }) =>
    attentionProbe(
      {
        ...heads,
        ...{ H: 32, B: 32 },
        ranges: ranges.map((firstPosition, i) => ({ firstPosition, numRows: 2 + 3 * i })),
      },
      mode,
    ),
  );

/** Activations in every float binding that is read, but weights and biases round 1; then `special`. */
function plain(
  kernel: Kernel,
  dims: Dims,
  activations: Activations = "normal",
  special: (random: Random) => Inputs = () => ({}),
): Probe {
  const inputs = (random: Random): Inputs => {
    const filled: Inputs = {};
    for (const [name, { access, storage, shape }] of Object.entries(kernel.bindings)) {
      if (access === "write" || storage === "u32") continue;
      const count = scalarCount(shape, dims);
      const learnt = ["weight", "bias", "qk_norm", "norm_weight"].includes(name);
      filled[name] = learnt
        ? uniform(count, 0.5, 1.5, random)
        : activation(count, activations, random);
    }
    return { ...filled, ...special(random) };
  };
  return { dims, inputs };
}

function activation(count: number, kind: Activations, random: Random): Float32Array {
  if (kind === "zeros") return new Float32Array(count);
  // Near the largest f16: what the first tokens of a sequence reach in real models.
  return kind === "large" ? uniform(count, -6e4, 6e4, random) : normal(count, random);
}
