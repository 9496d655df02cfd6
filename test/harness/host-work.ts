// What a decode step of 28 layers costs the host: the engine's whole work, cut into its parts, and
// beside it the very same GPU calls made bare in the same run. The difference is our JavaScript.

import type { Device } from "../../runtime/device.ts";
import { openGpuDevice } from "../../runtime/gpu/device.ts";
import { randomShapes } from "../../runtime/model-folder/random-shapes.ts";
import { recordSteps, replayBare } from "./bare-replay.ts";
import { type DecodeRig, decodeRig } from "./decode-rig.ts";

/** In the order of a step; `commit` comes when the step was read back. */
const PARTS = ["schedule", "inputs", "record", "sample", "submit", "commit"] as const;
type Part = (typeof PARTS)[number];

export interface HostWork {
  readonly rows: number;
  readonly dispatches: number;
  /** Microseconds of a step. */
  readonly engineUs: number;
  readonly partsUs: Readonly<Record<Part, number>>;
  readonly bareUs: number;
  readonly ownUsPerDispatch: number;
}

export interface HostRig extends DecodeRig {
  readonly device: Device;
  readonly gpuDevice: GPUDevice;
  readonly laps: Laps;
}

export async function hostRig(gpu: GPU, maxRows: number): Promise<HostRig> {
  const laps = new Laps();
  const { device, gpuDevice } = await openBoth(gpu);
  const rig = await decodeRig(timeParts(device, laps), {
    config: randomShapes.tiny,
    maxRows,
    maxRunAhead: 1,
    watchScheduler: (scheduler) =>
      around(scheduler, {
        schedule: (call) => {
          laps.begin();
          const plan = call();
          if (plan !== "idle") laps.end("schedule");
          return plan;
        },
        commit: (call) => {
          const events = call();
          laps.end("commit");
          return events;
        },
      }),
    watchObserver: (observer) =>
      around(observer, {
        onCommit: (call) => {
          laps.begin();
          return call();
        },
      }),
    onPlan: () => laps.end("submit"),
  });
  return { ...rig, device, gpuDevice, laps };
}

/** What one number says of many that measure the same. */
export type Typical = (values: readonly number[]) => number;

/** What a call takes when nothing else takes the processor from it; needs a fine clock. */
export const lowerDecile: Typical = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 10)];
};

/** For clocks that tick less often than a call takes, as browsers have them: right over many calls. */
export const mean: Typical = (values) =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * From here on the queue swallows what is submitted: the driver's work on the GPU's behalf is no part
 * of this, and a software GPU would take the very cores that are measured.
 * @param rounds Of engine and replay in turn; the quietest of each counts.
 * @param steps Of each round.
 */
export async function measureHostWork(
  { decode, gpuDevice, laps }: HostRig,
  rows: number,
  rounds: number,
  steps: number,
  typical: Typical,
): Promise<HostWork> {
  await decode(rows, 40);
  const recorded = recordSteps();
  await decode(rows, 12);
  const step = recorded().at(6)!;
  GPUQueue.prototype.submit = () => undefined;
  await decode(rows, steps);
  const engine: HostWork["partsUs"][] = [];
  const bare: number[] = [];
  for (let round = 0; round < rounds; round++) {
    laps.clear();
    await decode(rows, steps);
    const parts = PARTS.map((part) => [part, typical(laps.of(part))]);
    engine.push(Object.fromEntries(parts));
    bare.push(typical(await replayBare(gpuDevice, step, steps)));
  }
  const partsUs = engine.reduce((least, parts) => (total(parts) < total(least) ? parts : least));
  const engineUs = total(partsUs);
  const bareUs = Math.min(...bare);
  const dispatches = step.dispatches.length;
  const ownUsPerDispatch = (engineUs - bareUs) / dispatches;
  return { rows, dispatches, engineUs, partsUs, bareUs, ownUsPerDispatch };
}

const total = (parts: HostWork["partsUs"]): number =>
  PARTS.reduce((sum, part) => sum + parts[part], 0);

/** More steps than the trace keeps. */
const TRACED_STEPS = 17_000;

/**
 * Bytes of heap that 1,000 tokens leave behind, once the trace is full: their times above all, which the
 * metrics keep up to half a megabyte of.
 * @param usedBytes Of the heap, garbage collected.
 */
export async function heapGrowth(
  { decode, laps }: HostRig,
  rows: number,
  usedBytes: () => number | Promise<number>,
): Promise<number> {
  const decodeTokens = async (count: number) => {
    for (let done = 0; done < count; done += 500 * rows) {
      await decode(rows, 500);
      laps.clear();
      // Collected often: command buffers that were never submitted are large, and not on the heap.
      await usedBytes();
    }
  };
  // So many that what the compiler keeps or drops meanwhile is lost among them.
  const counted = 20_000;
  await decodeTokens(TRACED_STEPS * rows);
  const before = await usedBytes();
  await decodeTokens(counted);
  return (1000 * ((await usedBytes()) - before)) / counted;
}

/** A clock with laps: the time since the last one belongs to the part that ends now. */
class Laps {
  readonly #times = new Map<Part, number[]>(PARTS.map((part) => [part, []]));
  #sinceMs = 0;

  begin(): void {
    this.#sinceMs = performance.now();
  }

  end(part: Part): void {
    const nowMs = performance.now();
    this.#times.get(part)!.push(1000 * (nowMs - this.#sinceMs));
    this.#sinceMs = nowMs;
  }

  of(part: Part): readonly number[] {
    return this.#times.get(part)!;
  }

  clear(): void {
    for (const times of this.#times.values()) times.length = 0;
  }
}

/** Laps where a step goes from one part to the next: a first `record` for the model, one to sample. */
function timeParts(device: Device, laps: Laps): Device {
  let isSampling = false;
  return around(device, {
    record: (call) => {
      if (!isSampling) laps.end("inputs");
      call();
      if (!isSampling) laps.end("record");
      isSampling = true;
    },
    submit: (call) => {
      if (isSampling) laps.end("sample");
      isSampling = false;
      return call();
    },
  });
}

type Around<T> = {
  [K in keyof T]?: T[K] extends (...args: never) => infer R ? (call: () => R) => R : never;
};

/** Puts functions of its own before some methods of the object; others cost what they did. */
function around<T extends object>(target: T, methods: Around<T>): T {
  for (const [name, wrap] of Object.entries(methods) as [
    keyof T,
    (call: () => unknown) => never,
  ][]) {
    const method = target[name] as (...args: unknown[]) => unknown;
    const wrapped = (...args: unknown[]) => wrap(() => method.apply(target, args));
    target[name] = wrapped as T[keyof T];
  }
  return target;
}

/** Our device, and the one of WebGPU under it. */
async function openBoth(gpu: GPU) {
  const { requestDevice } = GPUAdapter.prototype;
  let gpuDevice: GPUDevice | undefined;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    gpuDevice = await requestDevice.call(this, descriptor);
    return gpuDevice;
  };
  try {
    return { device: await openGpuDevice(gpu), gpuDevice: gpuDevice! };
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
}
