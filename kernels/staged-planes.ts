/**
 * Fields of packed weights by way of workgroup memory: a block of chunks of the workgroup's rows is
 * read once, in whole 16-byte words, whichever lanes need it. Nothing to do for formats without fields.
 */
import type { Plane, WeightFormat } from "./formats/format.ts";
import { wgsl } from "./kernel.ts";

/**
 * `fn stage_planes(lane, first_chunk)`, called by all lanes before a barrier; then formats find the
 * fields of a slot by `plane0(slot, word)` and so on. Calls `slot_row(slot)`, the matrix's row.
 * @param slots Rows of the workgroup.
 * @param block Chunks that are staged at a time, a multiple of 32.
 */
export function stagedPlanesWgsl(
  { planes }: WeightFormat,
  { slots, lanes, block }: { slots: number; lanes: number; block: number },
): string {
  const words = planes.map((plane) => blockWords(plane, block));
  const arrays = words.map(
    (count, p) => wgsl`var<workgroup> staged${p}: array<u32, ${slots * count}>;
fn plane${p}(slot: u32, word: u32) -> u32 {
  return staged${p}[slot * ${count}u + word % ${count}u];
}`,
  );
  const loops = words.map(
    (count, p) => wgsl`for (var i = lane; i < ${(slots * count) / 4}u; i += ${lanes}u) {
    let slot = i / ${count / 4}u;
    let word = first_chunk / ${block}u * ${count / 4}u + i % ${count / 4}u;
    if (word < plane${p}_stride()) {
      let fields = load_weight(plane${p}_at(slot_row(slot)) + word);
      for (var k = 0u; k < 4u; k++) { staged${p}[4u * i + k] = fields[k]; }
    }
  }`,
  );
  return wgsl`${arrays.join("\n")}
fn stage_planes(lane: u32, first_chunk: u32) {
  ${loops.join("\n  ")}
}`;
}

/** Workgroup memory that it takes. */
export const stagedBytes = ({ planes }: WeightFormat, slots: number, block: number): number =>
  planes.reduce((sum, plane) => sum + 4 * slots * blockWords(plane, block), 0);

const blockWords = ({ chunks, words }: Plane, block: number): number => (block / chunks) * words;
