// What every kernel call of the engine's steps moves through each of its bindings, counted by the
// shaders themselves. Needs a device that counts; predicts nothing.

import type { KernelCall } from "../../kernels/kernel.ts";
import { wholeBuffer } from "../../runtime/device.ts";
import type { GpuDevice } from "../../runtime/gpu/device.ts";

export interface MovedCall {
  readonly call: KernelCall;
  /** Bytes by binding: loads and stores together. */
  readonly bytes: Readonly<Record<string, number>>;
}

/**
 * From here on the counters are read after each call that the device records, in its submission.
 * @returns Ends it, and gives the calls of each submission once all have run.
 */
export function countMoved(device: GpuDevice): () => Promise<MovedCall[][]> {
  const counters = wholeBuffer(device.byteCounts!);
  const submissions: KernelCall[][] = [[]];
  const reads = [device.readback(counters)];
  const { record, submit } = device;
  device.record = (calls) => {
    for (const call of calls) {
      record.call(device, [call]);
      submissions.at(-1)!.push(call);
      reads.push(device.readback(counters));
    }
  };
  device.submit = () => {
    submissions.push([]);
    return submit.call(device);
  };
  return async () => {
    Object.assign(device, { record, submit });
    const counts = (await Promise.all(reads)).map(({ buffer }) => new Uint32Array(buffer));
    let at = 0;
    const moved = (call: KernelCall): MovedCall => {
      const [before, after] = [counts[at], counts[at + 1]];
      at += 1;
      const names = Object.keys(call.kernel.bindings);
      // The counters wrap.
      const bytes = names.map((name, i) => [name, (after[i] - before[i]) >>> 0]);
      return { call, bytes: Object.fromEntries(bytes) };
    };
    return submissions.map((calls) => calls.map(moved)).filter((calls) => calls.length > 0);
  };
}
