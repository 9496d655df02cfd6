/** The plane of formats with one f16 scale per chunk: two chunks share a word. */
import { wgsl } from "../kernel.ts";
import type { Plane, RowBlocks } from "./format.ts";

export const scalePlane: Plane = { chunks: 2, words: 1 };

export const scalePlaneWgsl = wgsl`fn chunk_scale(row: u32, chunk: u32) -> f32 {
  let pair = unpack2x16float(plane0(row, chunk / 2u));
  return select(pair.x, pair.y, (chunk & 1u) != 0u);
}`;

/**
 * The last chunk of an odd number of them fills both halves of its word.
 * @param halfwords Of a block, which begins with its scale.
 */
export const scaleWordWgsl = (halfwords: number): string =>
  wgsl`fn plane_word(plane: u32, word: u32) -> u32 {
  let next = min(2u * word + 1u, params.K / 32u - 1u);
  return (word_at(2u * word * ${halfwords}u) & 0xffffu) | (word_at(next * ${halfwords}u) << 16u);
}`;

export function scaleWord(row: RowBlocks, halfwords: number, word: number): number {
  const next = Math.min(2 * word + 1, row.chunks - 1);
  const scale = row.word(2 * word * halfwords) & 0xffff;
  return (scale | (row.word(next * halfwords) << 16)) >>> 0;
}
