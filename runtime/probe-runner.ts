/**
 * Runs one probe of a kernel on a device and on its reference and compares. Shared by the
 * load-time self-test and the kernel tests: outputs start as NaN bits, sub-allocations lie between
 * canaries, so a missing or stray write is seen.
 */
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "../kernels/half.ts";
import {
  type Binding,
  type BufferSlice,
  bindingBytes,
  type Dims,
  type Kernel,
  type Probe,
  shapeSizes,
} from "../kernels/kernel.ts";
import { seededRandom } from "../kernels/probe.ts";
import { alignUp, type Device, type DeviceBuffer } from "./device.ts";
import { ReferenceDevice } from "./reference/device.ts";

const CANARY = 0xdeadbeef;
/** NaN as f32, and as each f16 or bf16 half. */
const POISON = 0x7fff7fff;

export interface ProbeResult {
  readonly ok: boolean;
  /** Empty when ok; else the first thing that is wrong. */
  readonly problem: string;
  /** Largest error relative to the RMS of its output. */
  readonly maxError: number;
  /** Raw output bytes by binding name, for bitwise comparison between variants. */
  readonly outputs: Readonly<Record<string, Uint8Array>>;
}

/**
 * The kernel with known inputs, on the device and on its reference: `ok` where they agree within its tolerance
 * and nothing else was written.
 */
export async function runProbe(
  device: Device,
  kernel: Kernel,
  probe: Probe,
  seed = 1,
): Promise<ProbeResult> {
  const inputs = probe.inputs(seededRandom(seed));
  const actual = await run(device, kernel, probe, inputs);
  const twin = new ReferenceDevice();
  const expected = await run(twin, kernel, probe, inputs);
  twin.destroy();
  let maxError = 0;
  let problem = actual.problem;
  for (const [name, binding] of Object.entries(kernel.bindings)) {
    if (binding.access === "read") continue;
    const got = decode(actual.outputs[name]!, binding, probe.dims);
    const want = decode(expected.outputs[name]!, binding, probe.dims);
    const verdict = compare(got, want, binding, kernel.tolerance);
    maxError = Math.max(maxError, verdict.maxError);
    if (!problem && verdict.problem) problem = `${name}: ${verdict.problem}`;
  }
  return { ok: problem === "", problem, maxError, outputs: actual.outputs };
}

async function run(
  device: Device,
  kernel: Kernel,
  { dims }: Probe,
  inputs: Record<string, Float32Array | Uint32Array>,
) {
  // First, so that a rejected kernel leaves no buffer behind.
  await device.prepare([{ kernel, constants: dims }]);
  const alignment = Math.max(16, device.info.limits.offsetAlignmentBytes);
  const buffers: Record<string, BufferSlice> = {};
  const owned: DeviceBuffer[] = [];
  for (const [name, binding] of Object.entries(kernel.bindings)) {
    const sizeBytes = Math.max(16, alignUp(bindingBytes(binding, dims), 16));
    const total = alignment + sizeBytes + alignment;
    const image = new Uint32Array(total / 4).fill(CANARY);
    image.fill(POISON, alignment / 4, (alignment + sizeBytes) / 4);
    const input = inputs[name];
    if (input) new Uint8Array(image.buffer).set(encode(input, binding, dims), alignment);
    const buffer = await device.createBuffer(name, total);
    device.write(buffer, 0, image);
    owned.push(buffer);
    buffers[name] = { buffer, offsetBytes: alignment, sizeBytes };
  }
  device.record([{ kernel, buffers, dims }]);
  const written = Object.entries(kernel.bindings).filter(([, b]) => b.access !== "read");
  const images = written.map(async ([name, binding]) => {
    const { buffer } = buffers[name]!;
    const image = await device.readback({ buffer, offsetBytes: 0, sizeBytes: buffer.sizeBytes });
    return { name, binding, image };
  });
  device.submit();
  let problem = "";
  const outputs: Record<string, Uint8Array> = {};
  for (const { name, binding, image } of await Promise.all(images)) {
    const { sizeBytes } = buffers[name]!;
    const words = new Uint32Array(image.buffer, 0, image.byteLength / 4);
    const before = words.subarray(0, alignment / 4);
    const after = words.subarray((alignment + sizeBytes) / 4, (2 * alignment + sizeBytes) / 4);
    if (![...before, ...after].every((word) => word === CANARY)) {
      problem ||= `${name}: wrote outside its slice`;
    }
    outputs[name] = image.slice(alignment, alignment + bindingBytes(binding, dims));
  }
  for (const buffer of owned) device.destroyBuffer(buffer);
  return { outputs, problem };
}

function compare(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { storage, packing }: Binding,
  tolerance: number,
) {
  if (storage === "u32" && !packing) {
    for (let i = 0; i < want.length; i++) {
      if (got[i] === want[i]) continue;
      return { maxError: 1, problem: `element ${i} is ${got[i]}, expected ${want[i]}` };
    }
    return { maxError: 0, problem: "" };
  }
  // Elements that the reference leaves as poison must stay poison; the others set the scale.
  let squares = 0;
  let count = 0;
  for (let i = 0; i < want.length; i++) {
    if (Number.isNaN(want[i])) continue;
    squares += want[i]! ** 2;
    count += 1;
  }
  const rms = Math.sqrt(squares / Math.max(1, count)) || 1;
  // Storing in 16 bits rounds by half a step of the value itself.
  const limit = Math.max(tolerance, packing?.rounding ?? 0);
  const step = storage === "f16" ? 2 ** -10 : storage === "bf16" ? 2 ** -7 : 0;
  let maxError = 0;
  for (let i = 0; i < want.length; i++) {
    if (Number.isNaN(want[i]) && Number.isNaN(got[i])) continue;
    const error = Math.abs(got[i]! - want[i]!);
    maxError = Math.max(maxError, error / rms);
    if (error <= limit * rms + step * Math.abs(want[i]!)) continue;
    return {
      maxError: Math.max(maxError, error / rms) || Number.NaN,
      problem: `element ${i} is ${got[i]}, expected ${want[i]}, error ${(error / rms).toExponential(2)} of RMS`,
    };
  }
  return { maxError, problem: "" };
}

function encode(
  values: Float32Array | Uint32Array,
  { storage, shape, packing }: Binding,
  dims: Dims,
): Uint8Array {
  const half = storage === "f16" ? numberToF16 : storage === "bf16" ? numberToBf16 : undefined;
  const stored =
    packing?.pack(values as Float32Array, ...shapeSizes(shape, dims)) ??
    (half ? Uint16Array.from(values, half) : values);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function decode(
  bytes: Uint8Array,
  { storage, shape, packing }: Binding,
  dims: Dims,
): ArrayLike<number> {
  if (storage === "f32") return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  if (storage === "u32") {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    return packing?.unpack(words, ...shapeSizes(shape, dims)) ?? words;
  }
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Float32Array.from(halves, storage === "f16" ? f16ToNumber : bf16ToNumber);
}
