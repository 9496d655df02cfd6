// Every bit that a model leaves of one sequence: the logits of each position and the KV cache by
// logical position, whichever plans computed them. Drives ModelRunner without scheduler or sampler.

import type { BufferSlice } from "../../kernels/kernel.ts";
import { layerGroups, numStages } from "../../models/decoder.ts";
import type { DeviceBuffer } from "../../runtime/device.ts";
import type { LoadedModel } from "../../runtime/load-model.ts";
import type { StepRow } from "../../runtime/step-inputs.ts";
import type { LayerPlan, StageRange, TokenRange } from "../../scheduler/index.ts";

/** By position: the words of its logits, then of what every layer keeps of it. */
export type TokenBits = readonly Uint32Array[];

/** One sequence in a runner's KV pools. */
export interface Placed {
  readonly ids: readonly number[];
  /** Blocks by KV group; none is another sequence's. */
  readonly tables: readonly (readonly number[])[];
}

export interface PlacedRange {
  readonly sequence: Placed;
  readonly tokens: TokenRange;
  /** Default all; a row that runs some alone is the last of its step. */
  readonly stages?: StageRange;
  readonly layerPlan?: LayerPlan;
}

/** @param steps Each covers some ranges; those of `observed` cover all its tokens, in order. */
export async function tokenBits(
  model: LoadedModel,
  observed: Placed,
  steps: readonly (readonly PlacedRange[])[],
): Promise<TokenBits> {
  poison(model, observed);
  const logits: Uint32Array[] = [];
  for (const ranges of steps) {
    const rows = ranges.map((range, slot) => stepRow(model, range, slot));
    logits.push(
      ...(await run(
        model,
        rows,
        ranges.findIndex((r) => r.sequence === observed && endsAtHead(model, r)),
      )),
    );
  }
  const kept = await keptWords(model, observed);
  return logits.map((words, position) => Uint32Array.from([...words, ...kept[position]]));
}

/** Only one sequence at a time waits between two steps, whatever its place in each. */
const CUT_ID = -1;

function stepRow({ plan }: LoadedModel, range: PlacedRange, slot: number): StepRow {
  const { sequence, tokens, stages = { from: 0, to: numStages(plan.spec) }, layerPlan } = range;
  const { ids, tables: blockTables } = sequence;
  const sequenceId = range.stages ? CUT_ID : slot;
  const what = { tokens, stages, layerPlan, kind: "compute" } as const;
  const planned = { sequenceId, ...what, blockTables };
  return { planned: { ...planned, sample: true }, ids, slot };
}

const endsAtHead = ({ plan: { spec } }: LoadedModel, { stages }: PlacedRange): boolean =>
  stages === undefined || stages.to === numStages(spec);

/** @returns The logits of each token of the row that is looked at. */
async function run(
  { runner }: LoadedModel,
  rows: readonly StepRow[],
  observed: number,
): Promise<Uint32Array[]> {
  const { device, spec } = runner;
  const counts = rows.map(({ planned }) => planned.tokens.to - planned.tokens.from);
  const first = counts.slice(0, Math.max(0, observed)).reduce((sum, count) => sum + count, 0);
  const count = observed < 0 ? 0 : counts[observed];
  // A step without a row of ours still computes one row of logits.
  const logitRows = Array.from({ length: Math.max(1, count) }, (_, i) => first + i);
  await runner.record(rows, { logitRows });
  const rowBytes = 4 * spec.vocabSize;
  const read = device.readback({ ...runner.logits, sizeBytes: rowBytes * logitRows.length });
  device.submit();
  const bytes = await read;
  return Array.from({ length: count }, (_, i) => words(bytes, i * rowBytes, rowBytes));
}

/** A position that no step writes must not pass for one that an earlier run wrote. */
function poison({ plan, runner }: LoadedModel, sequence: Placed): void {
  for (const { slice, blocks, blockBytes } of layerBlocks({ plan, runner }, sequence)) {
    const ones = new Uint32Array(blockBytes / 4).fill(0x7fff7fff);
    for (const block of blocks) {
      const at = slice.offsetBytes + block * blockBytes;
      runner.device.write(slice.buffer as DeviceBuffer, at, ones);
    }
  }
}

/**
 * `[block,2,K,B,H]` of each layer's pool, then scales if any, or a row per position of other layers, as one
 * list of words per position.
 */
async function keptWords({ plan, runner }: LoadedModel, sequence: Placed): Promise<number[][]> {
  const { blockTokens: B, storage } = plan.kv;
  const { headDim } = plan.spec;
  const byPosition: number[][] = sequence.ids.map(() => []);
  for (const { slice, blocks, blockBytes, planes } of layerBlocks({ plan, runner }, sequence)) {
    const hasScales = storage === "i8" && planes > 1;
    const rowBytes = hasScales ? headDim : blockBytes / (planes * B);
    const scales = planes * B * rowBytes;
    const reads = blocks.map((block) => {
      const offsetBytes = slice.offsetBytes + block * blockBytes;
      return runner.device.readback({ ...slice, offsetBytes, sizeBytes: blockBytes });
    });
    runner.device.submit();
    const contents = await Promise.all(reads);
    for (const [position, list] of byPosition.entries()) {
      const block = contents[Math.floor(position / B)];
      for (let plane = 0; plane < planes; plane++) {
        const row = plane * B + (position % B);
        list.push(...words(block, row * rowBytes, rowBytes));
        if (hasScales) list.push(...words(block, scales + 4 * row, 4));
      }
    }
  }
  return byPosition;
}

function layerBlocks(
  { plan, runner }: Pick<LoadedModel, "plan" | "runner">,
  { tables }: Placed,
): { slice: BufferSlice; blocks: readonly number[]; blockBytes: number; planes: number }[] {
  const groups = layerGroups(plan.spec);
  return plan.kv.groups.flatMap(({ layers, blockBytes }, group) =>
    layers.map((layer) => ({
      ...{ slice: runner.kvPools[layer], blocks: tables[group], blockBytes },
      planes: groups[group].taps || groups[group].latent ? 1 : 2 * plan.spec.numKvHeads,
    })),
  );
}

const words = (bytes: Uint8Array, offsetBytes: number, sizeBytes: number): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset + offsetBytes, sizeBytes / 4);
