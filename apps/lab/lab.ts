/**
 * The kernel lab: measures the adapter, then each kernel at each shape, checks its numbers, and sets
 * other libraries beside it. The same in Node and in a browser; prints nothing.
 */

import { type Device, WeftError } from "../../index.ts";
import { type Kernel, type WeightFormatName, weightFormats } from "../../kernels/index.ts";
import { casesOf, type LabCase, SHARED_ROLE } from "./cases.ts";
import { ErrorCheck } from "./error-check.ts";
import type { ModelShape } from "./model-shapes.ts";
import { Arena, operandsOf } from "./operands.ts";
import type { Opponent } from "./opponent.ts";
import { opponentRows } from "./opponent-rows.ts";
import { emptyProbe } from "./probe-kernels.ts";
import { callOf, measureProbes, peaksOf, probeSpecs } from "./probes.ts";
import { dimsOf, type LabResult, type LabRow, shapeText } from "./result.ts";
import { type Peaks, rooflineUs, trafficOf } from "./roofline.ts";
import { type SampleOptions, Stopwatch } from "./stopwatch.ts";
import { type Job, withUserKernels } from "./user-kernels.ts";

export interface LabOptions {
  readonly shapes: readonly ModelShape[];
  /** Only kernels and roles whose name holds this text. */
  readonly filter?: string;
  /** Few samples and small buffers: for software drivers. */
  readonly quick: boolean;
  /** The user's own, beside ours of the same operation. */
  readonly userKernels?: readonly Kernel[];
  readonly opponents?: readonly Opponent[];
  /** Runtime and version, e.g. `Node 20.20`. */
  readonly host: string;
  readonly signal?: AbortSignal;
  onProgress?(stage: string, done: number, total: number): void;
}

/** Software drivers measure the processor; nobody wants to wait for real shapes there. */
export const isSoftware = ({ info }: Device): boolean =>
  info.kind === "reference" || /llvmpipe|swiftshader|basic render/i.test(info.adapter);

/** @throws {WeftError} of the device; kernels that fail become rows that say so. */
export async function runLab(device: Device, options: LabOptions): Promise<LabResult> {
  const { signal, quick } = options;
  const sampling = quick ? { samples: 5, budgetMs: 150 } : { samples: 9, budgetMs: 1000 };
  const jobs = jobsOf(device, options);
  const rejected = await compile(device, jobs, options);
  const word = await device.createBuffer("lab_nothing", 16);
  const stopwatch = await Stopwatch.create(device, callOf(emptyProbe, {}, { out: word }));
  options.onProgress?.("probes", 0, 1);
  const copyBytes = (quick ? 16 : 256) * 2 ** 20;
  const probes = await measureProbes(device, stopwatch, { copyBytes, ...sampling });
  const peaks = peaksOf(probes);
  const arena = new Arena(device, (quick ? 16 : 1024) * 2 ** 20);
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
  const { adapter, kind } = device.info;
  return {
    adapter,
    device: kind,
    host: options.host,
    date: new Date().toISOString().slice(0, 10),
    clock: stopwatch.clock,
    method: methodOf(stopwatch, quick),
    notes: notesOf(device, options),
    probes,
    kernels: rows,
  };
}

function jobsOf(device: Device, { shapes, filter, quick, userKernels = [] }: LabOptions): Job[] {
  const { subgroupSize, limits, features } = device.info;
  const cases = shapes.flatMap((shape, index) =>
    casesOf(shape, { formatsOf: (role) => formatsFor(quick, index, role), subgroupSize }),
  );
  const jobs = withUserKernels(cases, userKernels).filter(
    ({ of, kernel }) => !filter || `${kernel.name} ${of.role}`.includes(filter),
  );
  return jobs.filter(
    ({ kernel }) =>
      kernel.features.every((feature) => features.includes(feature)) &&
      Object.keys(kernel.bindings).length <= limits.maxStorageBuffers,
  );
}

/** Formats that models are usually shipped in; the first model gets every one. */
const USUAL = ["bf16", "f16", "q4_0"];
/** Of the tiny shape: each pipeline takes a software driver a second. */
const FEW = ["f16", "q4_0"];

function formatsFor(quick: boolean, modelIndex: number, role: string): WeightFormatName[] {
  const names = Object.keys(weightFormats) as WeightFormatName[];
  if (modelIndex > 0) return names.filter((name) => USUAL.includes(name));
  if (!quick) return names;
  // Other libraries have f32 alone.
  return names.filter((name) => FEW.includes(name) || (name === "f32" && role === SHARED_ROLE));
}

/** A few pipelines at a time. @returns What the driver said of those it refused. */
async function compile(device: Device, jobs: readonly Job[], options: LabOptions) {
  await device.prepare(probeSpecs);
  const specs = new Map(jobs.map(({ kernel, of }) => [keyOf(kernel, of), { kernel, of }]));
  const queue = [...specs];
  const rejected = new Map<string, string>();
  let done = 0;
  const worker = async () => {
    for (let next = queue.pop(); next; next = queue.pop()) {
      const [key, { kernel, of }] = next;
      options.signal?.throwIfAborted();
      try {
        await device.prepare([{ kernel, constants: of.dims }]);
      } catch (error) {
        if (!(error instanceof WeftError) || error.code !== "kernel_rejected") throw error;
        rejected.set(key, error.message);
      }
      options.onProgress?.("pipelines", ++done, specs.size);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return rejected;
}

const keyOf = (kernel: Kernel, { dims }: LabCase): string =>
  `${kernel.name} ${kernel.constants.map((name) => dims[name])}`;

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
  const { flops, bytes } = trafficOf(kernel, dims);
  const row = {
    name: operation,
    variant: variantOf(kernel.name, operation),
    ...{ model, role, rows, source, flops, bytes },
    shape: shapeText(dims, dimsOf(kernel)),
    clock: bench.stopwatch.clock,
    ...{ medianUs: null, gbPerS: null, gflopPerS: null, rooflinePct: null, maxError: null },
  };
  const rejected = bench.rejected.get(keyOf(kernel, of));
  if (rejected) return { ...row, absent: rejected };
  try {
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
        medianUs,
        gbPerS: bytes / (1e3 * medianUs),
        gflopPerS: flops / (1e3 * medianUs),
        rooflinePct: (100 * rooflineUs({ bytes, flops }, bench.peaks)) / medianUs,
      };
    } finally {
      operands.destroy();
    }
  } catch (error) {
    // Too large for this adapter: the next kernel may fit.
    if (!(error instanceof WeftError)) throw error;
    if (error.code !== "limit_exceeded" && error.code !== "out_of_memory") throw error;
    return { ...row, absent: error.message };
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
