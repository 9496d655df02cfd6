// One sampling step on a device, as the runtime encodes it: scores, draw, and logprobs if asked.

import type { BufferSlice, Kernel } from "../../kernels/kernel.ts";
import { sampleArgmax } from "../../kernels/sample-argmax.ts";
import { sampleDraw } from "../../kernels/sample-draw.ts";
import { sampleHistory } from "../../kernels/sample-history.ts";
import { sampleLogprobs } from "../../kernels/sample-logprobs.ts";
import { sampleScores, sampleTiles } from "../../kernels/sample-scores.ts";
import {
  packSettings,
  type SamplingSettings,
  SETTINGS_WORDS,
} from "../../kernels/sample-settings.ts";
import { type Device, wholeBuffer } from "../../runtime/device.ts";

/** Greedy, nothing changed: a test names what it wants otherwise. */
export const PLAIN: SamplingSettings = {
  slot: 0,
  historyRow: null,
  biasAt: 0,
  biasCount: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  position: 0,
  seed: 0n,
  topLogprobs: null,
};

export interface SampledRow {
  readonly id: number;
  readonly numCandidates: number;
}

const KERNELS = [sampleScores, sampleDraw, sampleArgmax, sampleLogprobs, sampleHistory];
/** Rows of history, and entries of the bias pool. */
const C = 4;
const B = 640;

/** Buffers of one step of R rows; slots are R too. */
export class SampleStep {
  readonly R: number;
  readonly V: number;
  readonly #device: Device;
  readonly #slices: Record<string, BufferSlice>;

  private constructor(device: Device, R: number, V: number, slices: Record<string, BufferSlice>) {
    this.#device = device;
    this.R = R;
    this.V = V;
    this.#slices = slices;
  }

  static async create(device: Device, R: number, V: number): Promise<SampleStep> {
    await device.prepare(KERNELS.map((kernel) => ({ kernel, constants: {} })));
    const words = {
      logits: R * V,
      scores: R * V,
      settings: R * SETTINGS_WORDS,
      bias: 2 * B,
      history: C * V,
      entries: 2 * B,
      tile_argmax: R * sampleTiles(V),
      picks: 2 * R,
      last_token: R,
      top_ids: 21 * R,
      top_logprobs: 21 * R,
    };
    const slices: Record<string, BufferSlice> = {};
    for (const [name, count] of Object.entries(words)) {
      slices[name] = wholeBuffer(await device.createBuffer(name, 4 * count));
    }
    return new SampleStep(device, R, V, slices);
  }

  write(name: string, values: Float32Array | Uint32Array): void {
    const { buffer } = this.#slices[name]!;
    this.#device.write(buffer as never, 0, values);
  }

  async read(name: string): Promise<Uint32Array> {
    const bytes = this.#device.readback(this.#slices[name]!);
    this.#device.submit();
    return new Uint32Array((await bytes).slice().buffer);
  }

  async readFloats(name: string): Promise<Float32Array> {
    return new Float32Array((await this.read(name)).buffer);
  }

  /** Start a row of history from `packHistory`'s entries. */
  setHistory(row: number, entries: Uint32Array): void {
    this.write("entries", entries);
    this.#record(sampleHistory, { V: this.V, N: entries.length / 2, row });
    this.#device.submit();
  }

  /** The rows' settings go to rows 0, 1, … with slots of the same number. */
  async sample(rows: readonly SamplingSettings[], greedy = false): Promise<SampledRow[]> {
    const table = new Uint32Array(this.R * SETTINGS_WORDS);
    for (const [r, row] of rows.entries()) packSettings({ ...row, slot: r }, table, r);
    this.write("settings", table);
    const dims = { R: rows.length, V: this.V, tiles: sampleTiles(this.V) };
    if (greedy) this.#record(sampleArgmax, dims);
    else {
      this.#record(sampleScores, dims);
      this.#record(sampleDraw, dims);
    }
    if (rows.some((row) => row.topLogprobs !== null)) this.#record(sampleLogprobs, dims);
    const picks = await this.read("picks");
    return rows.map((_, r) => ({ id: picks[2 * r]!, numCandidates: picks[2 * r + 1]! }));
  }

  #record(kernel: Kernel, dims: Record<string, number>): void {
    const buffers = Object.fromEntries(
      Object.keys(kernel.bindings).map((name) => [name, this.#slices[name]!]),
    );
    const all = { ...dims, B, C, S: this.R };
    this.#device.record([{ kernel, buffers, dims: all }]);
  }

  destroy(): void {
    for (const { buffer } of Object.values(this.#slices)) {
      this.#device.destroyBuffer(buffer as never);
    }
  }
}
