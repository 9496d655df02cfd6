/**
 * Runs kernels over one matrix: what they give, bit for bit, and how long they take. Owns the rows
 * and the outputs; the weights are the caller's, several of one size where there are several, since
 * a GPU's cache would answer for the memory of one.
 */
import type { BufferSlice, Dims, Kernel, KernelCall } from "../../kernels/kernel.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import type { MatrixUse } from "../../models/matrix-use.ts";
import { type Device, type DeviceBuffer, wholeBuffer } from "../device.ts";
import type { Budget } from "./budget.ts";

export interface TunableMatrix extends MatrixUse {
  /** Each holds a matrix of this use; they are only read. */
  readonly weights: readonly BufferSlice[];
  /** Rows that it is ever multiplied with at once. */
  readonly maxRows: number;
}

/** Browsers round GPU times to 0.1 ms; a sample of 2 ms is right to 5 %. */
const SAMPLE_MS = 2;
/** A wall clock also sees the way to the GPU and back: a sample is at least so many times that. */
const ROUND_TRIPS = 4;
const MAX_REPEATS = 4096;

export class MatrixBench {
  readonly #device: Device;
  readonly #matrix: TunableMatrix;
  readonly #budget: Budget;
  readonly #dims: Dims;
  readonly #buffers: Readonly<Record<"x" | "norm_weight" | "out", DeviceBuffer>>;
  readonly #repeats = new Map<Kernel, number>();
  readonly #calls = new Map<Kernel, readonly KernelCall[]>();
  #roundTripMs = 0;

  /**
   * @param T Rows to multiply.
   * @param budget Asked before each submission, so that requests need to wait for no more than one.
   * @throws {WeftError} `out_of_memory`, `limit_exceeded`.
   */
  static async create(
    device: Device,
    matrix: TunableMatrix,
    T: number,
    budget: Budget,
  ): Promise<MatrixBench> {
    const { N, K } = matrix;
    const made: DeviceBuffer[] = [];
    const allocate = async (name: string, count: number) => {
      const buffer = await device.createBuffer(`tuning_${name}`, 4 * count);
      made.push(buffer);
      return buffer;
    };
    try {
      const x = await allocate("x", T * K);
      const norm_weight = await allocate("norm_weight", K);
      const out = await allocate("out", T * N);
      const random = seededRandom(1);
      device.write(x, 0, normal(T * K, random));
      device.write(norm_weight, 0, uniform(K, 0.5, 1.5, random));
      return new MatrixBench(device, matrix, T, budget, { x, norm_weight, out });
    } catch (error) {
      for (const buffer of made) device.destroyBuffer(buffer);
      throw error;
    }
  }

  private constructor(
    device: Device,
    matrix: TunableMatrix,
    T: number,
    budget: Budget,
    buffers: Record<"x" | "norm_weight" | "out", DeviceBuffer>,
  ) {
    const { N, K } = matrix;
    this.#device = device;
    this.#matrix = matrix;
    this.#budget = budget;
    this.#dims = { T, N, K, out_stride: N, out_offset: 0, eps: 1e-6 };
    this.#buffers = buffers;
  }

  /**
   * What the kernel gives for the first of the weights. Also its first run, which warms it up.
   * @returns undefined when the budget has ended, as `sample` does.
   */
  outputs(kernel: Kernel): Promise<Uint8Array | undefined> {
    return this.#budget.spend(() => {
      const { out } = this.#buffers;
      this.#device.write(out, 0, new Uint32Array(out.sizeBytes / 4).fill(0x7fff7fff));
      this.#device.record([this.#callsOf(kernel)[0]]);
      const bytes = this.#device.readback(wholeBuffer(out));
      this.#device.submit();
      return bytes;
    });
  }

  /** Microseconds of one run, by a sample that is long enough for the clock. */
  async sample(kernel: Kernel): Promise<number | undefined> {
    let repeats = this.#repeats.get(kernel) ?? 1;
    for (;;) {
      const run = await this.#budget.spend(() => this.#run(kernel, repeats));
      if (!run) return undefined;
      const { ms, leastMs } = run;
      if (this.#repeats.has(kernel) || ms >= leastMs || repeats >= MAX_REPEATS) {
        this.#repeats.set(kernel, repeats);
        return (1000 * ms) / repeats;
      }
      const growth = Math.min(10, (1.3 * leastMs) / Math.max(ms, 1e-6));
      repeats = Math.min(MAX_REPEATS, Math.ceil(repeats * Math.max(1.5, growth)));
    }
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) this.#device.destroyBuffer(buffer);
  }

  async #run(kernel: Kernel, repeats: number): Promise<{ ms: number; leastMs: number }> {
    const { gpuMs, wallMs } = await this.#submit(repeated(this.#callsOf(kernel), repeats));
    if (gpuMs !== undefined) return { ms: gpuMs, leastMs: SAMPLE_MS };
    this.#roundTripMs ||= await this.#leastRoundTripMs();
    const leastMs = Math.max(SAMPLE_MS, ROUND_TRIPS * this.#roundTripMs);
    return { ms: Math.max(0, wallMs - this.#roundTripMs), leastMs };
  }

  async #leastRoundTripMs(): Promise<number> {
    const trips = [];
    for (let i = 0; i < 3; i++) trips.push((await this.#submit([])).wallMs);
    return Math.min(...trips);
  }

  /** Calls wait for one another, as in a model: all write the same output. */
  async #submit(calls: Iterable<KernelCall>) {
    const { out } = this.#buffers;
    this.#device.record(calls);
    const read = this.#device.readback({ buffer: out, offsetBytes: 0, sizeBytes: 16 });
    const startedMs = performance.now();
    const submission = this.#device.submit();
    await read;
    return { gpuMs: submission.gpuMs, wallMs: performance.now() - startedMs };
  }

  #callsOf(kernel: Kernel): readonly KernelCall[] {
    const known = this.#calls.get(kernel);
    if (known) return known;
    const { x, norm_weight, out } = this.#buffers;
    const calls = this.#matrix.weights.map((weight) => ({
      kernel,
      dims: this.#dims,
      buffers: {
        ...{ x: wholeBuffer(x), weight, out: wholeBuffer(out) },
        ...("norm_weight" in kernel.bindings && { norm_weight: wholeBuffer(norm_weight) }),
      },
    }));
    this.#calls.set(kernel, calls);
    return calls;
  }
}

function* repeated(calls: readonly KernelCall[], repeats: number): Generator<KernelCall> {
  for (let i = 0; i < repeats; i++) yield calls[i % calls.length];
}
