/**
 * Matrix shape for one row where subgroups have one known size. Lanes hold chunk sums as in `gemv`;
 * they meet by shuffles, without workgroup memory and barriers. Subgroups move values and never add
 * them, so the order of the sum, and with it every bit, is that of `gemv`.
 */
import { ceilDiv, wgsl } from "./kernel.ts";
import type { MatmulShape, SubgroupSize } from "./matmul-shape.ts";

const LANES = 64;
/** Outputs of a workgroup, whatever the size of its subgroups: so the host need not know it. */
const OUTPUTS = 8;
/** A subgroup has 8 blocks of lanes; a total passes through them in order. */
const BLOCKS = 8;

const source = (size: SubgroupSize, perOutput: 1 | 2): string => {
  /** Outputs of a subgroup, chunks of a block, and lanes of a block: all the same number. */
  const outputs = size / BLOCKS;
  const parts = perOutput === 1 ? ["s"] : ["s", "u"];
  const index = Array.from({ length: outputs }, (_, i) => i);
  const each = (line: (part: string, offset: number) => string) => parts.map(line).join("\n");
  return wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let first_output = wg.x * ${OUTPUTS}u + lid.x / ${size}u * ${outputs}u;
  let block = lane / ${outputs}u;
  let own = lane % ${outputs}u;
  let chunks = params.K / 32u;
  let vectors = params.K / 4u;
  ${each((p) => `var ${p}_total = 0.0;`)}
  prepare(lid.x, 0u, 1u);

  for (var base = 0u; base < chunks; base += ${size}u) {
    ${each((p) => index.map((i) => `var ${p}${i} = 0.0;`).join(" "))}
    let chunk = base + lane;
    if (chunk < chunks) {
      // Bounds that depend on the lane, so that no compiler unrolls: it only costs build time.
      for (var column = chunk * 8u; column < chunk * 8u + 8u; column++) {
        let x = x4(0u, 0u, column);
        ${index
          .map(
            (i) => `if (first_output + ${i}u < params.N) {
          ${each(
            (
              p,
              part,
            ) => `let w_${p} = weights4((first_output + ${i}u + ${part}u * params.N) * vectors + column);
          ${["x", "y", "z", "w"].map((c) => `${p}${i} = fma(w_${p}.${c}, x.${c}, ${p}${i});`).join(" ")}`,
          )}
        }`,
          )
          .join("\n        ")}
      }
    }
    // Lane l of a block held its own chunk for every output; now it holds every chunk for output l.
    ${each((p) => transposed(p, index))}
    // The total of an output visits the blocks in order, so chunks are added ascending.
    for (var b = 0u; b < ${BLOCKS}u; b++) {
      ${each(
        (
          p,
        ) => `let ${p}_carried = subgroupShuffle(${p}_total, (b + ${BLOCKS - 1}u) % ${BLOCKS}u * ${outputs}u + own);
      if (block == b) { ${p}_total = ${p}_carried + ${p}0; ${index
        .slice(1)
        .map((i) => `${p}_total += ${p}${i};`)
        .join(" ")} }`,
      )}
    }
  }

  let output = first_output + own;
  if (block == ${BLOCKS - 1}u && output < params.N) {
    finish(0u, output, ${parts.map((p) => `${p}_total`).join(", ")});
  }
}
`;
};

/** Transposes the square of (lane of the block, index) by exchanging halves, quarters, and so on. */
function transposed(part: string, index: readonly number[]): string {
  const lines: string[] = [];
  for (let step = index.length / 2; step >= 1; step /= 2) {
    lines.push(`let ${part}_high${step} = (own & ${step}u) != 0u;`);
    for (const low of index.filter((i) => (i & step) === 0)) {
      const [a, b] = [`${part}${low}`, `${part}${low + step}`];
      const got = `${part}_got${step}_${low}`;
      lines.push(
        `let ${got} = subgroupShuffleXor(select(${b}, ${a}, ${part}_high${step}), ${step}u);`,
        `${a} = select(${a}, ${got}, ${part}_high${step}); ${b} = select(${got}, ${b}, ${part}_high${step});`,
      );
    }
  }
  return lines.join("\n    ");
}

export const subgroupMatvecShape = (size: SubgroupSize): MatmulShape => ({
  name: `gemv_subgroup${size}`,
  maxRows: 1,
  rowsPerGroup: 1,
  prologues: ["none", "norm"],
  features: ["subgroups"],
  wgsl: (perOutput) => source(size, perOutput),
  workgroups: ({ N }) => [ceilDiv(N, OUTPUTS), 1, 1],
  loads: ({ N, K }, perOutput) => ({
    x: ceilDiv(N, OUTPUTS) * (LANES / size) * K,
    weights: perOutput * N * K,
  }),
});
