/** What the adapter gives at best: bandwidth, arithmetic, the price of a dispatch and a submission. */

import type { Device, DeviceBuffer } from "../../index.ts";
import type { Dims, Kernel, KernelCall } from "../../kernels/index.ts";
import { fill } from "./contents.ts";
import { copyProbe, dotProbe, emptyProbe, fmaProbe, groupsOf, readProbe } from "./probe-kernels.ts";
import type { Peaks } from "./roofline.ts";
import { median, type SampleOptions, Stopwatch } from "./stopwatch.ts";

export interface Probes {
  /** Bytes read plus bytes written. */
  readonly copyGBPerS: number;
  readonly readGBPerS: number;
  readonly fmaGFlopPerS: number;
  /** Of integer dot products; where kernels of int8 rows were asked for. */
  readonly dotGOpPerS?: number;
  /** From one dispatch to the next that waits for it, in one submission, on the stopwatch's clock. */
  readonly dispatchUs: number;
  /** Host time to record one dispatch. */
  readonly encodeUs: number;
  /** Wall time of a submission beyond its one dispatch, of many that nobody waits for. */
  readonly submitUs: number;
}

/** Memory cannot be faster than the better of the two: copies also pay for turning the bus round. */
export const peaksOf = ({ copyGBPerS, readGBPerS, fmaGFlopPerS, dotGOpPerS }: Probes): Peaks => ({
  gbPerS: Math.max(copyGBPerS, readGBPerS),
  gflopPerS: fmaGFlopPerS,
  dotGOpPerS,
});

export interface ProbeSizes extends SampleOptions {
  /** Of each buffer that is copied: beyond what the caches hold. */
  readonly copyBytes: number;
  /** Also the rate of integer dot products: the device must have them. Default false. */
  readonly withDots?: boolean;
}

/** How long and over how much memory: less on drivers that play GPU. */
export const probeSizes = (quick: boolean): ProbeSizes => ({
  copyBytes: (quick ? 16 : 256) * 2 ** 20,
  ...(quick ? { samples: 5, budgetMs: 150 } : { samples: 9, budgetMs: 1000 }),
});

/** For whoever needs the adapter's limits alone. */
export async function probeAdapter(device: Device, sizes: ProbeSizes): Promise<Probes> {
  await device.prepare(probeSpecs);
  const out = await device.createBuffer("probe_nothing", 16);
  const stopwatch = await Stopwatch.create(device, callOf(emptyProbe, {}, { out }));
  try {
    return await measureProbes(device, stopwatch, sizes);
  } finally {
    stopwatch.destroy();
    device.destroyBuffer(out);
  }
}

const SUBMISSIONS = 32;
const DISPATCHES = 256;

export async function measureProbes(
  device: Device,
  stopwatch: Stopwatch,
  { copyBytes, withDots = false, ...options }: ProbeSizes,
): Promise<Probes> {
  const { maxBindingBytes } = device.info.limits;
  const vectors = Math.floor(Math.min(copyBytes, maxBindingBytes) / 16);
  const sizeBytes = 16 * vectors;
  const groups = groupsOf(vectors);
  const buffers: DeviceBuffer[] = [];
  const create = async (label: string) => {
    const buffer = await device.createBuffer(label, sizeBytes);
    buffers.push(buffer);
    return buffer;
  };
  try {
    const x = await create("probe_x");
    const out = await create("probe_out");
    fill(device, x, "f32");
    const time = async (kernel: Kernel, dims: Dims) =>
      (await stopwatch.time([callOf(kernel, dims, { x, out })], options)).medianUs;
    const rate = (amount: number, us: number) => amount / (1e3 * us);
    const arithmetic = async (kernel: Kernel) => {
      const dims = (rounds: number) => ({ groups: ARITHMETIC_GROUPS, rounds, factor: 0.5 });
      const rounds = await enoughRounds((rounds) => time(kernel, dims(rounds)));
      return rate(kernel.cost(dims(rounds)).flops, await time(kernel, dims(rounds)));
    };
    if (withDots) await device.prepare([{ kernel: dotProbe, constants: {} }]);
    return {
      copyGBPerS: rate(2 * sizeBytes, await time(copyProbe, { vectors })),
      readGBPerS: rate(sizeBytes, await time(readProbe, { vectors, groups })),
      fmaGFlopPerS: await arithmetic(fmaProbe),
      ...(withDots && { dotGOpPerS: await arithmetic(dotProbe) }),
      dispatchUs: await time(emptyProbe, {}),
      ...(await overheads(device, callOf(emptyProbe, {}, { out }))),
    };
  } finally {
    for (const buffer of buffers) device.destroyBuffer(buffer);
  }
}

export const probeSpecs = [copyProbe, readProbe, fmaProbe, emptyProbe].map((kernel) => ({
  kernel,
  constants: {},
}));

/** Enough workgroups to fill a large GPU many times over. */
const ARITHMETIC_GROUPS = 4096;

/** Rounds that take a millisecond and more, so that starting and ending do not count. */
async function enoughRounds(time: (rounds: number) => Promise<number>): Promise<number> {
  let rounds = 1;
  while (rounds < 4096 && (await time(rounds)) < 1000) rounds *= 8;
  return rounds;
}

export function callOf(
  kernel: Kernel,
  dims: Dims,
  buffers: Readonly<Record<string, DeviceBuffer>>,
): KernelCall {
  const slices = Object.keys(kernel.bindings).map((name) => {
    const buffer = buffers[name];
    return [name, { buffer, offsetBytes: 0, sizeBytes: buffer.sizeBytes }];
  });
  return { kernel, dims, buffers: Object.fromEntries(slices) };
}

/** Both on the wall clock: the host's share has no other. */
async function overheads(device: Device, nothing: KernelCall) {
  const wall = async (submissions: number, dispatches: number) => {
    await device.idle();
    const startedMs = performance.now();
    let recordedMs = 0;
    for (let i = 0; i < submissions; i++) {
      const fromMs = performance.now();
      device.record(Array.from({ length: dispatches }, () => nothing));
      recordedMs += performance.now() - fromMs;
      device.submit();
    }
    await device.idle();
    return { wallMs: performance.now() - startedMs, recordedMs };
  };
  const encode: number[] = [];
  const submit: number[] = [];
  for (let i = 0; i < 5; i++) {
    const together = await wall(1, SUBMISSIONS);
    const apart = await wall(SUBMISSIONS, 1);
    submit.push((1000 * (apart.wallMs - together.wallMs)) / (SUBMISSIONS - 1));
    encode.push((1000 * (await wall(1, DISPATCHES)).recordedMs) / DISPATCHES);
  }
  return { encodeUs: median(encode), submitUs: Math.max(0, median(submit)) };
}
