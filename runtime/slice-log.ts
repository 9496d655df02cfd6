/**
 * The latest slices of a trace, as numbers in arrays that are made once: however long an engine runs,
 * nothing of its trace is ever made or left for the collector. Owns what slices and tracks consist of.
 */
import { PRIORITIES, type Priority } from "../scheduler/priority.ts";

/** By kind: what the numbers of a slice are, by name. */
export const SLICE_NUMBERS = {
  /** A plan on the GPU. */
  gpu: ["plan", "rows", "tokens", "preempted", "predictedMs", "gpuMs"],
  queued: [],
  prefill: ["from", "to", "fromStage", "toStage", "plan"],
  decode: ["tokens"],
  preempted: [],
} as const;

export type SliceKind = keyof typeof SLICE_NUMBERS;

/** One of a request; the GPU's has the number 0. */
export interface Track {
  readonly tid: number;
  readonly priority: Priority;
  readonly numPromptTokens: number;
  readonly client?: string;
}

export const ON_DEVICE: Track = { tid: 0, priority: "interactive", numPromptTokens: 0 };

export interface Slice {
  readonly kind: SliceKind;
  readonly track: Track;
  readonly startMs: number;
  readonly endMs: number;
  /** As `SLICE_NUMBERS` names them. */
  readonly numbers: readonly number[];
  /** The request ends with it. */
  readonly end?: "finished" | "aborted";
}

const KINDS = Object.keys(SLICE_NUMBERS) as SliceKind[];
const ENDS = [undefined, "finished", "aborted"] as const;
/** Of a slice: both times, the track's prompt, and its own. */
const NUMBERS = 3 + SLICE_NUMBERS.gpu.length;

export class SliceLog implements Iterable<Slice> {
  readonly #capacity: number;
  readonly #numbers: Float64Array;
  readonly #tids: Uint32Array;
  /** Kind, end and priority. */
  readonly #codes: Uint8Array;
  readonly #clients: (string | undefined)[];
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#numbers = new Float64Array(capacity * NUMBERS);
    this.#tids = new Uint32Array(capacity);
    this.#codes = new Uint8Array(capacity * 3);
    this.#clients = new Array(capacity).fill(undefined);
  }

  push({ kind, track, startMs, endMs, numbers, end }: Slice): void {
    const at = this.#count++ % this.#capacity;
    const own = this.#numbers.subarray(at * NUMBERS, (at + 1) * NUMBERS);
    own[0] = startMs;
    own[1] = endMs;
    own[2] = track.numPromptTokens;
    own.set(numbers, 3);
    this.#tids[at] = track.tid;
    this.#codes[3 * at] = KINDS.indexOf(kind);
    this.#codes[3 * at + 1] = ENDS.indexOf(end);
    this.#codes[3 * at + 2] = PRIORITIES.indexOf(track.priority);
    this.#clients[at] = track.client;
  }

  /** The oldest first. */
  *[Symbol.iterator](): Generator<Slice, void, undefined> {
    for (let i = Math.max(0, this.#count - this.#capacity); i < this.#count; i++)
      yield this.#slice(i % this.#capacity);
  }

  #slice(at: number): Slice {
    const [startMs, endMs, numPromptTokens, ...numbers] = this.#numbers.subarray(
      at * NUMBERS,
      (at + 1) * NUMBERS,
    );
    const [kind, end, priority] = this.#codes.subarray(3 * at, 3 * at + 3);
    const client = this.#clients[at];
    return {
      kind: KINDS[kind],
      track: { tid: this.#tids[at], priority: PRIORITIES[priority], numPromptTokens, client },
      ...{ startMs, endMs, numbers: numbers.slice(0, SLICE_NUMBERS[KINDS[kind]].length) },
      end: ENDS[end],
    };
  }
}
