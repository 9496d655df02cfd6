/**
 * Embeddings of texts on the GPU: sums of final hidden states, one entry per slot, which grow with each
 * chunk of a text. Owns what is summed by each way of pooling, and the mean.
 */
import type { KernelCall } from "../kernels/kernel.ts";
import { poolRows } from "../kernels/pool-rows.ts";
import { numStages } from "../models/decoder.ts";
import type { SequenceId } from "../scheduler/work-plan.ts";
import { bytesToFloats, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import { countTokens } from "./input-region.ts";
import type { ModelRunner } from "./model-runner.ts";
import type { Pooling } from "./pooling.ts";
import type { StepRow } from "./step-inputs.ts";

export class Pooler {
  readonly #device: Device;
  readonly #runner: ModelRunner;
  readonly #pooled: DeviceBuffer;
  readonly #spans: DeviceBuffer;

  private constructor(runner: ModelRunner, pooled: DeviceBuffer, spans: DeviceBuffer) {
    this.#device = runner.device;
    this.#runner = runner;
    this.#pooled = pooled;
    this.#spans = spans;
  }

  /** @param numSlots Texts that are under way at once. */
  static async create(runner: ModelRunner, numSlots: number): Promise<Pooler> {
    const { device, spec } = runner;
    const kernels = [runner.finalNorm.kernel, poolRows];
    await device.prepare(kernels.map((kernel) => ({ kernel, constants: {} })));
    const pooled = await device.createBuffer("pooled", 4 * numSlots * spec.hiddenSize);
    return new Pooler(runner, pooled, await device.createBuffer("pool_spans", 16 * numSlots));
  }

  /**
   * Records behind a step that kept its hidden states.
   * @returns The embeddings [D] of texts that end with it, once the step has been read back; undefined where
   *   no row is of a text.
   */
  record(rows: readonly StepRow[]): Promise<ReadonlyMap<SequenceId, Float32Array>> | undefined {
    const end = numStages(this.#runner.spec);
    // One that is cut by layers has no final states yet.
    const texts = rows.filter(({ pooling, planned }) => pooling && planned.stages.to === end);
    if (texts.length === 0) return undefined;
    const { hiddenSize: D } = this.#runner.spec;
    const spans = texts.flatMap((row) => spanOf(row, this.#runner.hiddenRow(rows.indexOf(row))));
    if (spans.length > 0) this.#sum(spans, countTokens(rows));
    const ended = texts.filter(({ planned, ids }) => planned.tokens.to === ids.length);
    const slices = ended.map(({ slot }) => {
      return { buffer: this.#pooled, offsetBytes: 4 * D * slot, sizeBytes: 4 * D };
    });
    if (slices.length === 0) return Promise.resolve(new Map());
    return this.#device.readback(...slices).then((read) => {
      const sums = bytesToFloats(read);
      const vectorOf = ({ pooling, ids }: StepRow, i: number) => {
        const count = pooling === "mean" ? ids.length : 1;
        return sums.slice(D * i, D * (i + 1)).map((sum) => sum / count);
      };
      return new Map(ended.map((row, i) => [row.planned.sequenceId, vectorOf(row, i)]));
    });
  }

  #sum(spans: readonly number[], T: number): void {
    const { hiddenSize: D } = this.#runner.spec;
    const { kernel, buffers, eps } = this.#runner.finalNorm;
    this.#device.write(this.#spans, 0, Uint32Array.from(spans));
    const sums = {
      x: buffers.out,
      spans: wholeBuffer(this.#spans),
      pooled: wholeBuffer(this.#pooled),
    };
    const calls: KernelCall[] = [
      { kernel, buffers, dims: { T, D, eps } },
      { kernel: poolRows, buffers: sums, dims: { S: spans.length / 4, D, ...workOf(spans) } },
    ];
    this.#device.record(calls);
  }
}

/**
 * (slot, rows of `hidden`, whether it begins) of the tokens that count; nothing where none do.
 * @param first Of `hidden`: the row of its first token.
 */
function spanOf({ pooling, slot, ids, planned }: StepRow, first: number): number[] {
  const { from, to } = planned.tokens;
  const ends: Readonly<Record<Pooling, readonly [from: number, to: number]>> = {
    mean: [from, to],
    last: [Math.max(from, ids.length - 1), to],
    cls: [from, Math.min(to, 1)],
  };
  const [begin, end] = ends[pooling!];
  if (begin >= end) return [];
  const begins = pooling !== "mean" || from === 0;
  return [slot, first + begin - from, first + end - from, begins ? 1 : 0];
}

function workOf(spans: readonly number[]): { poolRows: number; goneOn: number } {
  let [rows, goneOn] = [0, 0];
  for (let s = 0; s < spans.length; s += 4) {
    rows += spans[s + 2] - spans[s + 1];
    if (spans[s + 3] === 0) goneOn += 1;
  }
  return { poolRows: rows, goneOn };
}
