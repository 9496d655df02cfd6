/**
 * Sampling on the GPU: the settings table, penalties' history and biases per slot, and the calls
 * after the forward pass. Owns slots; ids stay on the GPU for the next step and are read back late.
 */
import type { BufferSlice, Kernel, KernelCall } from "../kernels/kernel.ts";
import { sampleArgmax } from "../kernels/sample-argmax.ts";
import { sampleDraw } from "../kernels/sample-draw.ts";
import { packHistory, sampleHistory } from "../kernels/sample-history.ts";
import { MAX_TOP_LOGPROBS, sampleLogprobs } from "../kernels/sample-logprobs.ts";
import { maskWords, packBias, sampleScores, sampleTiles } from "../kernels/sample-scores.ts";
import {
  GREEDY_BELOW,
  MASKED_WORD,
  POSITION_WORD,
  packSettings,
  type SamplingSettings,
  SETTINGS_WORDS,
  SLOT_WORD,
} from "../kernels/sample-settings.ts";
import { bytesToFloats, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import type { ModelRunner } from "./model-runner.ts";
import { MAX_BIAS_ENTRIES, type SamplingOptions, type TokenLogprob } from "./request.ts";

const KERNELS: readonly Kernel[] = [
  sampleArgmax,
  sampleScores,
  sampleDraw,
  sampleLogprobs,
  sampleHistory,
];
const LOGPROB_ENTRIES = 1 + MAX_TOP_LOGPROBS;

/** A request's settings, checked and complete. */
export interface ResolvedSampling extends Required<Omit<SamplingOptions, "seed" | "topLogprobs">> {
  readonly seed: bigint;
  readonly topLogprobs: number | null;
}

export interface SampledToken {
  readonly id: number;
  /** The token itself, then the likeliest; only for a row that asked. */
  readonly logprobs?: readonly TokenLogprob[];
}

export interface SampleRow {
  readonly slot: number;
  readonly sampling: ResolvedSampling;
  /** Index of the token in the request's output: the counter of its random draw. */
  readonly position: number;
  /** Entry of `last_token` that takes the id; default the sequence's. */
  readonly target?: number;
  /** Bit i % 32 of word i / 32: token i may be sampled. All may by default. */
  readonly mask?: Uint32Array;
}

export interface SamplerSizes {
  readonly numSlots: number;
  readonly numRows: number;
  readonly maxContext: number;
}

export class Sampler {
  readonly #device: Device;
  readonly #vocabSize: number;
  readonly #slices: Readonly<Record<string, BufferSlice>>;
  readonly #numSlots: number;
  readonly #freeSlots: number[];
  /** Of each slot, packed when it was taken: steps only change the position. */
  readonly #settings: Uint32Array;
  /** Calls of the last step; they stay the same as long as its rows ask for the same. */
  #calls: readonly KernelCall[] = [];
  #asked: readonly SampleRow[] = [];

  private constructor(
    device: Device,
    vocabSize: number,
    slices: Readonly<Record<string, BufferSlice>>,
    numSlots: number,
  ) {
    this.#device = device;
    this.#vocabSize = vocabSize;
    this.#slices = slices;
    this.#numSlots = numSlots;
    this.#freeSlots = Array.from({ length: numSlots }, (_, slot) => slot);
    this.#settings = new Uint32Array(numSlots * SETTINGS_WORDS);
  }

  /** @param sizes Sequences that run at once, and rows that are sampled in one step. */
  static async create(
    runner: ModelRunner,
    { numSlots, numRows, maxContext }: SamplerSizes,
  ): Promise<Sampler> {
    const { device, spec } = runner;
    const V = spec.vocabSize;
    const words = {
      settings: numRows * SETTINGS_WORDS,
      bias: 2 * numSlots * MAX_BIAS_ENTRIES,
      history: numSlots * V,
      entries: 2 * Math.min(maxContext, V),
      scores: numRows * V,
      tile_argmax: numRows * sampleTiles(V),
      mask: numRows * maskWords(V),
      picks: 2 * numRows,
      top_ids: LOGPROB_ENTRIES * numRows,
      top_logprobs: LOGPROB_ENTRIES * numRows,
    };
    const slices: Record<string, BufferSlice> = {
      logits: runner.logits,
      last_token: wholeBuffer(runner.lastToken),
    };
    for (const [name, count] of Object.entries(words)) {
      slices[name] = wholeBuffer(await device.createBuffer(name, 4 * count));
    }
    return new Sampler(device, V, slices, numSlots);
  }

  get pipelines() {
    return KERNELS.map((kernel) => ({ kernel, constants: {} }));
  }

  get numSlotsTaken(): number {
    return this.#numSlots - this.#freeSlots.length;
  }

  /** Entry of `last_token` for a draft of the sequence in a slot. */
  draftTarget(slot: number, index: number): number {
    const { sizeBytes } = this.#slices.last_token;
    const perSlot = sizeBytes / 4 / this.#numSlots - 1;
    return this.#numSlots + slot * perSlot + Math.min(index, perSlot - 1);
  }

  /**
   * A slot for one sequence; its id, biases and history live there.
   * @param outputIds Sampled so far; none unless the sequence is resumed.
   */
  takeSlot(
    sampling: ResolvedSampling,
    promptIds: readonly number[],
    outputIds: readonly number[] = [],
  ): number {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) throw new Error("more sequences run than there are sampler slots");
    packSettings(settingsOf(sampling, slot), this.#settings, slot);
    const biases = biasEntries(sampling);
    if (biases.length > 0) {
      this.#write("bias", packBias(biases), 8 * slot * MAX_BIAS_ENTRIES);
    }
    if (hasPenalties(sampling)) {
      const entries = packHistory(promptIds, outputIds);
      this.#write("entries", entries, 0);
      const N = entries.length / 2;
      this.#device.record([this.#call(sampleHistory, { V: this.#vocabSize, N, row: slot })]);
      // `entries` is written again for the next sequence, so its reader goes ahead.
      this.#device.submit();
    }
    return slot;
  }

  /** Plans in flight may still write to it: later submissions run after them. */
  releaseSlot(slot: number): void {
    this.#freeSlots.push(slot);
  }

  /** Records sampling of the step's logits, row by row. Resolves once the step has been read back. */
  record(rows: readonly SampleRow[]): Promise<SampledToken[]> {
    const R = rows.length;
    if (R === 0) return this.#nothing();
    this.#writeSettings(rows);
    this.#device.record(this.#callsFor(rows));
    const wantsLogprobs = rows.some(({ sampling }) => sampling.topLogprobs !== null);
    const picks = this.#slice("picks", 2 * R);
    const top = ["top_ids", "top_logprobs"].map((name) => this.#slice(name, LOGPROB_ENTRIES * R));
    // One mapping, whatever is asked for.
    return this.#device.readback(picks, ...(wantsLogprobs ? top : [])).then((read) => {
      const words = new Uint32Array(read.buffer, read.byteOffset, 2 * R);
      const [idsAt, valuesAt] = [picks.sizeBytes, picks.sizeBytes + top[0].sizeBytes];
      const [topIds, topValues] = [read.subarray(idsAt, valuesAt), read.subarray(valuesAt)];
      return rows.map(({ sampling }, row): SampledToken => {
        const id = words[2 * row];
        if (sampling.topLogprobs === null) return { id };
        return { id, logprobs: logprobsOf(topIds, topValues, row, sampling.topLogprobs) };
      });
    });
  }

  #writeSettings(rows: readonly SampleRow[]): void {
    const table = new Uint32Array(rows.length * SETTINGS_WORDS);
    for (let row = 0; row < rows.length; row++) {
      const { slot, position, target, mask } = rows[row];
      const at = row * SETTINGS_WORDS;
      const from = slot * SETTINGS_WORDS;
      table.set(this.#settings.subarray(from, from + SETTINGS_WORDS), at);
      table[at + POSITION_WORD] = position;
      if (target !== undefined) table[at + SLOT_WORD] = target;
      if (mask === undefined) continue;
      table[at + MASKED_WORD] = 1;
      this.#write("mask", mask, 4 * row * maskWords(this.#vocabSize));
    }
    this.#write("settings", table, 0);
  }

  #callsFor(rows: readonly SampleRow[]): readonly KernelCall[] {
    const asked = this.#asked;
    const isAsAsked = ({ sampling, mask }: SampleRow, i: number) =>
      sampling === asked[i].sampling && (mask === undefined) === (asked[i].mask === undefined);
    if (rows.length === asked.length && rows.every(isAsAsked)) return this.#calls;
    this.#asked = rows;
    this.#calls = this.#makeCalls(rows);
    return this.#calls;
  }

  #makeCalls(rows: readonly SampleRow[]): KernelCall[] {
    const samplings = rows.map(({ sampling }) => sampling);
    const R = samplings.length;
    const V = this.#vocabSize;
    const count = (test: (sampling: ResolvedSampling) => boolean) => samplings.filter(test).length;
    const drawn = (test: (sampling: ResolvedSampling) => boolean) =>
      count((sampling) => sampling.temperature >= GREEDY_BELOW && test(sampling));
    const work = {
      R,
      V,
      W: maskWords(V),
      tiles: sampleTiles(V),
      historyRows: count(hasPenalties),
      biasEntries: samplings.reduce((sum, s) => sum + biasEntries(s).length, 0),
      maskedRows: rows.filter(({ mask }) => mask !== undefined).length,
      drawnRows: drawn(() => true),
      topKRows: drawn(({ topK }) => topK > 0),
      topPRows: drawn(({ topP }) => topP < 1),
      logprobRows: count(({ topLogprobs }) => topLogprobs !== null),
      topRows: count(({ topLogprobs }) => (topLogprobs ?? 0) > 0),
    };
    const { drawnRows, historyRows, biasEntries: biases, maskedRows } = work;
    const plainGreedy = drawnRows + historyRows + biases + maskedRows === 0;
    const kernels = plainGreedy ? [sampleArgmax] : [sampleScores, sampleDraw];
    if (work.logprobRows > 0) kernels.push(sampleLogprobs);
    return kernels.map((kernel) => this.#call(kernel, work));
  }

  #call(kernel: Kernel, dims: Record<string, number>): KernelCall {
    return { kernel, buffers: this.#slices, dims };
  }

  #slice(name: string, words: number): BufferSlice {
    return { ...this.#slices[name], sizeBytes: 4 * words };
  }

  /** A step that samples nothing still reports when it has run. */
  async #nothing(): Promise<SampledToken[]> {
    await this.#device.readback(this.#slice("picks", 1));
    return [];
  }

  #write(name: string, values: Uint32Array, offsetBytes: number): void {
    this.#device.write(this.#slices[name].buffer as DeviceBuffer, offsetBytes, values);
  }
}

function settingsOf(sampling: ResolvedSampling, slot: number): SamplingSettings {
  return {
    ...sampling,
    slot,
    position: 0,
    historyRow: hasPenalties(sampling) ? slot : null,
    isMasked: false,
    biasAt: slot * MAX_BIAS_ENTRIES,
    biasCount: biasEntries(sampling).length,
  };
}

export const hasPenalties = (sampling: ResolvedSampling): boolean =>
  sampling.repetitionPenalty !== 1 ||
  sampling.presencePenalty !== 0 ||
  sampling.frequencyPenalty !== 0;

const biasEntries = ({ logitBias }: ResolvedSampling): [number, number][] =>
  Object.entries(logitBias).map(([id, bias]) => [Number(id), bias]);

function logprobsOf(ids: Uint8Array, values: Uint8Array, row: number, top: number): TokenLogprob[] {
  const tokenIds = new Uint32Array(ids.buffer, ids.byteOffset, ids.byteLength / 4);
  const logprobs = bytesToFloats(values);
  return Array.from({ length: 1 + top }, (_, i) => ({
    tokenId: tokenIds[row * LOGPROB_ENTRIES + i],
    logprob: logprobs[row * LOGPROB_ENTRIES + i],
  }));
}
