// One sampling step on a device, as the runtime encodes it: scores, draw, and logprobs if asked.

import type { BufferSlice, Kernel } from "../../kernels/kernel.ts";
import { sampleArgmax } from "../../kernels/sample-argmax.ts";
import { sampleDraw } from "../../kernels/sample-draw.ts";
import { sampleHistory } from "../../kernels/sample-history.ts";
import { sampleLogprobs } from "../../kernels/sample-logprobs.ts";
import { maskWords, sampleScores, sampleTiles } from "../../kernels/sample-scores.ts";
import {
  packSettings,
  type SamplingSettings,
  SETTINGS_WORDS,
} from "../../kernels/sample-settings.ts";
import { type Device, type DeviceBuffer, wholeBuffer } from "../../runtime/device.ts";

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
  readonly #buffers: Record<string, DeviceBuffer>;
  readonly #slices = new Map<Kernel, Record<string, BufferSlice>>();

  private constructor(device: Device, R: number, V: number, buffers: Record<string, DeviceBuffer>) {
    this.#device = device;
    this.R = R;
    this.V = V;
    this.#buffers = buffers;
    for (const kernel of KERNELS) {
      const slices = Object.keys(kernel.bindings).map((name) => [name, this.#slice(name)]);
      this.#slices.set(kernel, Object.fromEntries(slices));
    }
  }

  static async create(device: Device, R: number, V: number): Promise<SampleStep> {
    const words = {
      logits: R * V,
      scores: R * V,
      settings: R * SETTINGS_WORDS,
      bias: 2 * B,
      history: C * V,
      entries: 2 * B,
      tile_argmax: R * sampleTiles(V),
      mask: R * maskWords(V),
      picks: 2 * R,
      last_token: R,
      top_ids: 21 * R,
      top_logprobs: 21 * R,
    };
    const buffers: Record<string, DeviceBuffer> = {};
    for (const [name, count] of Object.entries(words)) {
      buffers[name] = await device.createBuffer(name, 4 * count);
    }
    return new SampleStep(device, R, V, buffers);
  }

  write(name: string, values: Float32Array | Uint32Array, at = 0): void {
    this.#device.write(this.#buffers[name]!, 4 * at, values);
  }

  async read(name: string): Promise<Uint32Array> {
    const bytes = this.#device.readback(this.#slice(name));
    this.#device.submit();
    return new Uint32Array((await bytes).slice().buffer);
  }

  async readFloats(name: string): Promise<Float32Array> {
    return new Float32Array((await this.read(name)).buffer);
  }

  /** Start a row of history from `packHistory`'s entries. */
  async setHistory(row: number, entries: Uint32Array): Promise<void> {
    this.write("entries", entries);
    await this.#record(sampleHistory, { V: this.V, N: entries.length / 2, row });
    this.#device.submit();
  }

  /** The rows' settings go to rows 0, 1, … with slots of the same number. */
  async sample(rows: readonly SamplingSettings[], greedy = false): Promise<SampledRow[]> {
    const table = new Uint32Array(this.R * SETTINGS_WORDS);
    for (const [r, row] of rows.entries()) packSettings({ ...row, slot: r }, table, r);
    this.write("settings", table);
    const { V } = this;
    const dims = { R: rows.length, V, W: maskWords(V), tiles: sampleTiles(V) };
    const logprobs = rows.some((row) => row.topLogprobs !== null);
    const kernels = greedy ? [sampleArgmax] : [sampleScores, sampleDraw];
    for (const kernel of logprobs ? [...kernels, sampleLogprobs] : kernels) {
      await this.#record(kernel, dims);
    }
    const picks = await this.read("picks");
    return rows.map((_, r) => ({ id: picks[2 * r]!, numCandidates: picks[2 * r + 1]! }));
  }

  async #record(kernel: Kernel, dims: Record<string, number>): Promise<void> {
    await this.#device.prepare([{ kernel, constants: {} }]);
    const all = { ...dims, B, C, S: this.R };
    this.#device.record([{ kernel, buffers: this.#slices.get(kernel)!, dims: all }]);
  }

  #slice(name: string): BufferSlice {
    return wholeBuffer(this.#buffers[name]!);
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) this.#device.destroyBuffer(buffer);
  }
}
