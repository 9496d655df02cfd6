/**
 * How long work takes on a device: repeated until a sample is long enough for its clock, warmed up,
 * the median of several. Knows no kernel.
 */

import type { Device, DeviceBuffer } from "../../index.ts";
import type { BufferSlice, KernelCall } from "../../kernels/index.ts";

export type Clock = "timestamp-query" | "wall clock";

/** Browsers round GPU times to 0.1 ms; a sample of 2 ms is right to 5 %. */
const SAMPLE_MS = 2;
/** A wall clock also sees the way to the GPU and back: a sample is at least so many times that. */
const ROUND_TRIPS = 4;
/** The recorder's own work grows with the repeats. */
const MAX_REPEATS = 8192;

export interface SampleOptions {
  readonly samples: number;
  /** No more samples are begun after this; three are always taken, one where a run takes longer. */
  readonly budgetMs: number;
}

export interface Sampled {
  readonly medianUs: number;
  readonly samples: number;
  /** Runs in each sample. */
  readonly repeats: number;
}

/** Times `repeats` runs in milliseconds; undefined when the clock gave nothing. */
export type Measure = (repeats: number) => Promise<number | undefined>;

/** No sample took any time. */
export class ClockError extends Error {}

/** Finds how many runs make a sample, which warms up on the way, then takes the samples. */
export async function sample(
  measure: Measure,
  { samples, budgetMs }: SampleOptions,
  leastMs = SAMPLE_MS,
): Promise<Sampled> {
  let repeats = 1;
  let tookMs = (await measure(repeats)) ?? 0;
  // The first run may have had something to build.
  if (tookMs < budgetMs) tookMs = (await measure(repeats)) ?? 0;
  while (tookMs < leastMs && repeats < MAX_REPEATS) {
    const growth = Math.min(10, (1.3 * leastMs) / Math.max(tookMs, 1e-6));
    repeats = Math.min(MAX_REPEATS, Math.ceil(repeats * Math.max(1.5, growth)));
    tookMs = (await measure(repeats)) ?? 0;
  }
  const taken: number[] = [];
  const endMs = performance.now() + budgetMs;
  const least = tookMs < budgetMs ? 3 : 1;
  let silent = 0;
  while (taken.length < samples && (taken.length < least || performance.now() < endMs)) {
    const ms = await measure(repeats);
    if (ms !== undefined) taken.push(ms);
    else if (++silent > samples) throw new ClockError("the device's clock gives no times");
  }
  return { medianUs: (1000 * median(taken)) / repeats, samples: taken.length, repeats };
}

export class Stopwatch {
  readonly clock: Clock;
  /** Milliseconds from a submission of next to nothing until the host hears of its end. */
  readonly roundTripMs: number;
  readonly #device: Device;
  readonly #word: DeviceBuffer;

  /** @param nothing A call that does next to nothing. */
  static async create(device: Device, nothing: KernelCall): Promise<Stopwatch> {
    const word = await device.createBuffer("stopwatch", 16);
    const trips: number[] = [];
    let timed = 0;
    for (let i = 0; i < 9; i++) {
      const { gpuMs, wallMs } = await run(device, word, [nothing]);
      trips.push(wallMs);
      if (gpuMs !== undefined) timed += 1;
    }
    const clock = device.info.kind === "gpu" && timed > 0 ? "timestamp-query" : "wall clock";
    return new Stopwatch(device, word, clock, median(trips));
  }

  private constructor(device: Device, word: DeviceBuffer, clock: Clock, roundTripMs: number) {
    this.#device = device;
    this.#word = word;
    this.clock = clock;
    this.roundTripMs = roundTripMs;
  }

  /** Time of one call. The calls are taken in turn, one after another in one submission. */
  time(calls: readonly KernelCall[], options: SampleOptions): Promise<Sampled> {
    if (this.clock === "timestamp-query") {
      return sample(async (repeats) => (await this.#run(calls, repeats)).gpuMs, options);
    }
    // What an empty submission takes is taken off: it is the way there and back.
    return sample(
      async (repeats) => {
        const ms = (await this.#run(calls, repeats)).wallMs - this.roundTripMs;
        return ms > 0 ? ms : undefined;
      },
      options,
      Math.max(SAMPLE_MS, ROUND_TRIPS * this.roundTripMs),
    );
  }

  destroy(): void {
    this.#device.destroyBuffer(this.#word);
  }

  #run(calls: readonly KernelCall[], repeats: number) {
    return run(this.#device, this.#word, repeated(calls, repeats));
  }
}

function* repeated(calls: readonly KernelCall[], repeats: number): Generator<KernelCall> {
  for (let i = 0; i < repeats; i++) yield calls[i % calls.length];
}

async function run(device: Device, word: DeviceBuffer, calls: Iterable<KernelCall>) {
  const slice: BufferSlice = { buffer: word, offsetBytes: 0, sizeBytes: 16 };
  device.record(calls);
  const read = device.readback(slice);
  const startedMs = performance.now();
  const submission = device.submit();
  await read;
  return { gpuMs: submission.gpuMs, wallMs: performance.now() - startedMs };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
