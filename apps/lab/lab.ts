/**
 * The kernel lab: measures the adapter, then each kernel at each shape, checks its numbers, and sets
 * other libraries beside it. The same in Node and in a browser; prints nothing.
 */

import { type Device, WeftError } from "../../index.ts";
import { usesIntegerDots } from "../../kernels/index.ts";
import { ErrorCheck } from "./error-check.ts";
import { compile, type JobSelection, jobsOf, pipelineKey } from "./jobs.ts";
import { Arena, operandsOf } from "./operands.ts";
import type { Opponent } from "./opponent.ts";
import { opponentRows } from "./opponent-rows.ts";
import { emptyProbe } from "./probe-kernels.ts";
import { callOf, measureProbes, peaksOf, probeSizes, probeSpecs } from "./probes.ts";
import { dimsOf, type LabResult, type LabRow, shapeText } from "./result.ts";
import { type Peaks, rooflineUs, trafficOf } from "./roofline.ts";
import { ClockError, type SampleOptions, Stopwatch } from "./stopwatch.ts";
import type { Job } from "./user-kernels.ts";

export interface LabOptions extends JobSelection {
  readonly opponents?: readonly Opponent[];
  /** Runtime and version, e.g. `Node 20.20`. */
  readonly host: string;
  readonly signal?: AbortSignal;
  onProgress?(stage: string, done: number, total: number): void;
}

/** Software drivers measure the processor; nobody wants to wait for real shapes there. */
export const isSoftware = ({ info }: Device): boolean =>
  /llvmpipe|swiftshader|basic render/i.test(info.adapter);

/** @throws {WeftError} of the device; kernels that fail become rows that say so. */
export async function runLab(device: Device, options: LabOptions): Promise<LabResult> {
  const { signal, quick } = options;
  const sizes = probeSizes(quick);
  const sampling: SampleOptions = sizes;
  const jobs = jobsOf(device, options);
  await device.prepare(probeSpecs);
  const rejected = await compile(device, jobs, options);
  const word = await device.createBuffer("lab_nothing", 16);
  const stopwatch = await Stopwatch.create(device, callOf(emptyProbe, {}, { out: word }));
  options.onProgress?.("probes", 0, 1);
  const withDots = jobs.some(({ kernel }) => usesIntegerDots(kernel));
  const probes = await measureProbes(device, stopwatch, { ...sizes, withDots });
  const peaks = peaksOf(probes);
  // On a software driver even real shapes get no more: the processor's caches are what it has.
  const arena = new Arena(device, (quick || isSoftware(device) ? 16 : 1024) * 2 ** 20);
  const check = new ErrorCheck(device);
  const rows: LabRow[] = [];
  try {
    for (const [index, job] of jobs.entries()) {
      signal?.throwIfAborted();
      options.onProgress?.("kernels", index, jobs.length);
      rows.push(
        await measured(job, { device, stopwatch, sampling, arena, check, peaks, rejected }),
      );
    }
    for (const opponent of options.opponents ?? []) {
      signal?.throwIfAborted();
      rows.push(...(await opponentRows(opponent, options, { peaks, sampling })));
    }
  } finally {
    arena.destroy();
    stopwatch.destroy();
    device.destroyBuffer(word);
  }
  return {
    adapter: device.info.adapter,
    host: options.host,
    date: new Date().toISOString().slice(0, 10),
    clock: stopwatch.clock,
    method: methodOf(stopwatch, quick),
    notes: notesOf(device, options),
    probes,
    kernels: rows,
  };
}

interface Bench {
  readonly device: Device;
  readonly stopwatch: Stopwatch;
  readonly sampling: SampleOptions;
  readonly arena: Arena;
  readonly check: ErrorCheck;
  readonly peaks: Peaks;
  readonly rejected: ReadonlyMap<string, string>;
}

async function measured({ of, kernel, source }: Job, bench: Bench): Promise<LabRow> {
  const { dims, model, role, rows, operation } = of;
  const row = {
    name: operation,
    variant: variantOf(kernel.name, operation),
    ...{ model, role, rows, source, flops: 0, bytes: 0 },
    shape: shapeText(dims, dimsOf(kernel)),
    clock: bench.stopwatch.clock,
    ...{ medianUs: null, gbPerS: null, gflopPerS: null, rooflinePct: null, maxError: null },
  };
  const rejected = bench.rejected.get(pipelineKey(kernel, of));
  if (rejected) return { ...row, absent: rejected };
  try {
    const traffic = trafficOf(kernel, dims);
    const { flops, bytes } = traffic;
    const error = await bench.check.of(kernel, of);
    const operands = await operandsOf(bench.device, bench.arena, {
      ...{ kernel, dims },
      inputs: of.inputs(),
    });
    try {
      const { medianUs } = await bench.stopwatch.time(operands.calls, bench.sampling);
      return {
        ...row,
        ...error,
        ...{ flops, bytes, medianUs },
        gbPerS: bytes / (1e3 * medianUs),
        gflopPerS: flops / (1e3 * medianUs),
        rooflinePct: (100 * rooflineUs(traffic, bench.peaks)) / medianUs,
      };
    } finally {
      operands.destroy();
    }
  } catch (error) {
    // Too large for this adapter, where the next kernel may fit; or a fault of the user's own kernel.
    const code = error instanceof WeftError ? error.code : undefined;
    const goesOn =
      code === "limit_exceeded" || code === "out_of_memory" || error instanceof ClockError;
    if (code === "device_lost" || (!goesOn && source === "weft")) throw error;
    return { ...row, absent: error instanceof Error ? error.message : `${error}` };
  }
}

/** `matmul.gemv[bf16].residual` is the variant `gemv[bf16].residual` of `matmul`. */
const variantOf = (name: string, operation: string): string =>
  name.startsWith(operation) ? name.slice(operation.length).replace(/^\./, "") : name;

function methodOf({ clock, roundTripMs }: Stopwatch, quick: boolean): string {
  const rounds = quick ? 5 : 9;
  const common =
    `medians of ${rounds} samples of at least 2 ms after warm-up; calls wait for one another; ` +
    "large operands lie in several copies, taken in turn";
  if (clock === "timestamp-query") return `GPU time by timestamp-query; ${common}`;
  return `wall time less the ${roundTripMs.toFixed(2)} ms of an empty submission; ${common}`;
}

function notesOf(device: Device, { shapes, quick }: LabOptions): string[] {
  const notes: string[] = [];
  if (isSoftware(device)) {
    notes.push("This adapter is software: figures show the processor, not a GPU.");
  }
  if (quick) {
    notes.push(
      `Quick: ${shapes.map(({ name }) => name).join(", ")}, few samples and small buffers, which ` +
        "caches hold.",
    );
  }
  return notes;
}
