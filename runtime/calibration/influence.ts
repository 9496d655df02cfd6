/** How far each sublayer, and each layer, turns the rows that go through it (ShortGPT's block influence). */
import { blockInfluence } from "../../kernels/block-influence.ts";
import type { KernelCall } from "../../kernels/kernel.ts";
import { rowCopy } from "../../kernels/row-copy.ts";
import { numStages } from "../../models/decoder.ts";
import { stagesOf } from "../../models/layer-plan.ts";
import type { PlannedRow } from "../../scheduler/work-plan.ts";
import { bytesToFloats, type DeviceBuffer, wholeBuffer } from "../device.ts";
import { throwIfAborted } from "../errors.ts";
import { sequenceChunks } from "../position-logits.ts";
import type { OwnText } from "./own-text.ts";
import { type Sublayer, sublayersOf } from "./sublayers.ts";
import type { MeasuredModel } from "./yardstick.ts";

export interface Influence extends Sublayer {
  /** 1 − mean cosine of rows before and after: 0 where they keep their direction. */
  readonly influence: number;
}

/**
 * Of the sublayers, in order, but the last MLP, which only sampled rows run; all tokens of the texts count.
 * @param model Nobody else uses it meanwhile.
 * @see Men et al., "ShortGPT", arXiv:2403.03853.
 */
export async function sublayerInfluence(
  model: MeasuredModel,
  texts: readonly OwnText[],
  signal?: AbortSignal,
): Promise<Influence[]> {
  const { runner, plan } = model;
  const { device, spec } = runner;
  await device.prepare([blockInfluence, rowCopy].map((kernel) => ({ kernel, constants: {} })));
  const turned = await TurnedRows.create(model);
  const sums = new Float64Array(numStages(spec));
  let numRows = 0;
  for (const { ids } of texts) {
    for (const row of sequenceChunks(plan, ids.length, { chunkTokens: plan.maxLogitRows })) {
      throwIfAborted(signal);
      const cosines = await turned.run(row, ids);
      cosines.forEach((sum, stage) => {
        sums[stage] += sum;
      });
      numRows += row.tokens.to - row.tokens.from;
    }
  }
  turned.destroy();
  return stagesOf(spec).flatMap(({ kind, layer, isExtra }, stage) => {
    const isMeasured = stage > 0 && stage < numStages(spec) - 2 && !isExtra;
    if (!isMeasured || (kind !== "attention" && kind !== "mlp")) return [];
    return [{ kind, layer, influence: 1 - sums[stage] / numRows }];
  });
}

/** Sublayers that turn their rows least come first; those that were not measured are behind. */
export function byInfluence(influence: readonly Influence[], numLayers: number): Sublayer[] {
  const keyOf = ({ kind, layer }: Sublayer) => `${kind} ${layer}`;
  const known = new Map(influence.map((each) => [keyOf(each), each.influence]));
  const of = (sublayer: Sublayer) => known.get(keyOf(sublayer)) ?? 2;
  return sublayersOf(numLayers).sort((a, b) => of(a) - of(b));
}

/** The rows of a step before a stage, beside those after it. */
class TurnedRows {
  readonly #model: MeasuredModel;
  readonly #before: DeviceBuffer;
  readonly #rowNumbers: DeviceBuffer;
  /** By stage: products of each row. */
  readonly #products: DeviceBuffer;

  private constructor(model: MeasuredModel, buffers: readonly DeviceBuffer[]) {
    this.#model = model;
    [this.#before, this.#rowNumbers, this.#products] = buffers;
  }

  static async create(model: MeasuredModel): Promise<TurnedRows> {
    const { device, spec } = model.runner;
    const { maxLogitRows: rows } = model.plan;
    const buffers = [
      await device.createBuffer("rows_before", 4 * spec.hiddenSize * rows),
      await device.createBuffer("row_numbers", 4 * rows),
      await device.createBuffer("influence", 12 * rows),
    ];
    device.write(
      buffers[1],
      0,
      Uint32Array.from({ length: rows }, (_, row) => row),
    );
    return new TurnedRows(model, buffers);
  }

  /** @returns By stage, the cosines of the rows before and after, summed up. */
  async run(row: PlannedRow, ids: readonly number[]): Promise<number[]> {
    const { runner } = this.#model;
    const { device, spec } = runner;
    const numRows = row.tokens.to - row.tokens.from;
    const readings: Promise<Uint8Array>[] = [];
    for (let stage = 0; stage < numStages(spec) - 2; stage++) {
      const stages = { from: stage, to: stage + 1 };
      await runner.record([{ planned: { ...row, stages, sample: false }, ids, slot: 0 }]);
      if (stage > 0) readings.push(this.#compare(numRows));
      device.record([this.#keep(numRows)]);
      device.submit();
    }
    runner.dropParked(row.sequenceId);
    const products = await Promise.all(readings);
    return [0, ...products.map((bytes) => sumOfCosines(bytesToFloats(bytes)))];
  }

  destroy(): void {
    const { device } = this.#model.runner;
    for (const buffer of [this.#before, this.#rowNumbers, this.#products]) {
      device.destroyBuffer(buffer);
    }
  }

  #compare(T: number): Promise<Uint8Array> {
    const { device, spec, hidden } = this.#model.runner;
    const D = spec.hiddenSize;
    const sizeBytes = 4 * T * D;
    const buffers = {
      x: { ...wholeBuffer(this.#before), sizeBytes },
      y: { ...hidden, sizeBytes },
      out: { ...wholeBuffer(this.#products), sizeBytes: 12 * T },
    };
    device.record([{ kernel: blockInfluence, buffers, dims: { T, D }, label: "influence" }]);
    return device.readback(buffers.out);
  }

  #keep(R: number): KernelCall {
    const { hidden, spec } = this.#model.runner;
    const { maxTokensPerPlan: T, maxLogitRows: P } = this.#model.plan;
    const rows = wholeBuffer(this.#rowNumbers);
    const buffers = {
      ...{ x: hidden, from_rows: rows },
      ...{ to_rows: rows, out: wholeBuffer(this.#before) },
    };
    return { kernel: rowCopy, buffers, dims: { T, P, R, D: spec.hiddenSize }, label: "keep" };
  }
}

function sumOfCosines(products: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < products.length; i += 3) {
    const [xx, yy, xy] = products.subarray(i, i + 3);
    const scale = Math.sqrt(xx * yy);
    // A row of zeros has no direction to lose.
    sum += scale === 0 ? 1 : xy / scale;
  }
  return sum;
}
