// What every Device promises (runtime/device.ts), in each project on its own device: the reference
// device, or WebGPU in both profiles.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BufferSlice, Kernel, KernelCall } from "../../../kernels/kernel.ts";
import {
  type Device,
  type DeviceBuffer,
  type PipelineSpec,
  wholeBuffer,
} from "../../../runtime/device.ts";
import { openDevice, profiles } from "../../harness/device.ts";
import { shiftAdd, storeParam } from "./test-kernels.ts";

describe.each(profiles())("%s", (profile) => {
  let device: Device;
  beforeEach(async () => {
    device = await openDevice(profile);
  });
  afterEach(() => device.destroy());

  /** A buffer that holds these words. */
  async function holding(...words: number[]): Promise<DeviceBuffer> {
    const buffer = await device.createBuffer("words", 4 * words.length);
    device.write(buffer, 0, Uint32Array.from(words));
    return buffer;
  }
  const words = async (bytes: Promise<Uint8Array>) => [
    ...new Uint32Array((await bytes).slice().buffer),
  ];
  const readNow = (slice: BufferSlice) => {
    const bytes = device.readback(slice);
    device.submit();
    return words(bytes);
  };
  const prepare = (kernel: Kernel, constants = {}) => device.prepare([{ kernel, constants }]);
  const shiftAdds = (x: DeviceBuffer, total: DeviceBuffer): KernelCall => ({
    kernel: shiftAdd,
    buffers: { x: wholeBuffer(x), total: wholeBuffer(total) },
    dims: { N: 4, S: 10 },
  });

  describe("buffers", () => {
    test("are zeroed, and as large as asked", async () => {
      const buffer = await device.createBuffer("zeros", 4096);
      expect(buffer).toMatchObject({ label: "zeros", sizeBytes: 4096 });
      expect(new Set(await readNow(wholeBuffer(buffer)))).toEqual(new Set([0]));
    });

    test("have ids of their own and at least 16 bytes, whole words", async () => {
      const small = await device.createBuffer("small", 1);
      const odd = await device.createBuffer("odd", 21);
      expect([small.sizeBytes, odd.sizeBytes]).toEqual([16, 24]);
      expect(small.id).not.toBe(odd.id);
    });

    test("take writes and give reads at offsets", async () => {
      const buffer = await holding(1, 2, 3, 4, 5, 6);
      const source = Uint32Array.of(0, 70, 80, 0);
      device.write(buffer, 8, source.subarray(1, 3));
      expect(await readNow(wholeBuffer(buffer))).toEqual([1, 2, 70, 80, 5, 6]);
      expect(await readNow({ buffer, offsetBytes: 12, sizeBytes: 8 })).toEqual([80, 5]);
    });

    test("take writes from any view", async () => {
      const buffer = await device.createBuffer("views", 16);
      device.write(buffer, 0, Float32Array.of(1));
      device.write(buffer, 4, new Uint16Array([0, 7, 8]).subarray(1));
      device.write(buffer, 8, new DataView(Uint32Array.of(5, 6).buffer, 4));
      expect(await readNow(wholeBuffer(buffer))).toEqual([0x3f800000, 0x00080007, 6, 0]);
    });

    test("are bound by slice", async () => {
      const alignment = Math.max(16, device.info.limits.offsetAlignmentBytes);
      // Offset, then 4 words, then 4 words that stay.
      const around = async (...inside: number[]): Promise<BufferSlice> => {
        const buffer = await device.createBuffer("around", alignment + 32);
        device.write(buffer, alignment, Uint32Array.from(inside));
        return { buffer, offsetBytes: alignment, sizeBytes: 16 };
      };
      const buffers = { x: await around(1, 2, 3, 4), total: await around(5, 6, 7, 8, 9, 9, 9, 9) };
      await prepare(shiftAdd, { S: 10 });
      device.record([{ kernel: shiftAdd, buffers, dims: { N: 4, S: 10 } }]);
      const got = await readNow(wholeBuffer(buffers.total.buffer as DeviceBuffer));
      expect(got.slice(0, alignment / 4).every((word) => word === 0)).toBe(true);
      expect(got.slice(alignment / 4)).toEqual([51, 62, 73, 84, 9, 9, 9, 9]);
    });

    test("above the limit are refused by their name and size", async () => {
      const sizeBytes = device.info.limits.maxBufferBytes + 4;
      await expect(device.createBuffer("giant", sizeBytes)).rejects.toMatchObject({
        name: "WeftError",
        code: "limit_exceeded",
        message: expect.stringMatching(`giant needs ${sizeBytes} bytes.*memoryBudgetBytes`),
      });
      expect((await device.createBuffer("next", 16)).sizeBytes).toBe(16);
    });

    test("that were destroyed are refused", async () => {
      const [x, total] = [await holding(1, 2, 3, 4), await holding(0, 0, 0, 0)];
      await prepare(shiftAdd, { S: 10 });
      device.destroyBuffer(x);
      device.destroyBuffer(x);
      expect(() => device.record([shiftAdds(x, total)])).toThrow(/was destroyed/);
      expect(() => device.write(x, 0, Uint32Array.of(1))).toThrow(/was destroyed/);
      await expect(device.readback(wholeBuffer(x))).rejects.toThrow(/was destroyed/);
    });
  });

  describe("submissions", () => {
    test("run in order, each after the writes before it", async () => {
      const [x, total] = [await holding(1, 1, 1, 1), await holding(0, 0, 0, 0)];
      await prepare(shiftAdd, { S: 10 });
      const reads: Promise<Uint8Array>[] = [];
      for (let i = 1; i <= 4; i++) {
        device.write(x, 0, Uint32Array.of(i, i, i, i));
        device.record([shiftAdds(x, total)]);
        reads.push(device.readback({ buffer: total, offsetBytes: 4, sizeBytes: 4 }));
        device.submit();
      }
      expect(await Promise.all(reads.map(words))).toEqual([[1], [12], [123], [1234]]);
    });

    test("see a write that came after the recording", async () => {
      const [x, total] = [await holding(1, 1, 1, 1), await holding(0, 0, 0, 0)];
      await prepare(shiftAdd, { S: 10 });
      device.record([shiftAdds(x, total)]);
      const bytes = device.readback(wholeBuffer(total));
      device.write(x, 0, Uint32Array.of(7, 7, 7, 7));
      device.submit();
      expect(await words(bytes)).toEqual([7, 7, 7, 7]);
    });

    test("hold dispatches and copies in the order they were recorded", async () => {
      const [x, total] = [await holding(1, 2, 3, 4), await holding(0, 0, 0, 0)];
      await prepare(shiftAdd, { S: 10 });
      const call = shiftAdds(x, total);
      const reads = [device.readback(wholeBuffer(total))];
      device.record([call, call]);
      reads.push(device.readback(wholeBuffer(total)));
      device.record([call]);
      reads.push(device.readback(wholeBuffer(total)));
      device.submit();
      expect(await Promise.all(reads.map(words))).toEqual([
        [0, 0, 0, 0],
        [11, 22, 33, 44],
        [111, 222, 333, 444],
      ]);
    });

    test("do not start before submit", async () => {
      const out = await holding(0, 0, 0, 0);
      await prepare(storeParam);
      const buffers = { out: wholeBuffer(out) };
      device.record([{ kernel: storeParam, buffers, dims: { at: 0, value: 5 } }]);
      let came = false;
      const bytes = device.readback(wholeBuffer(out)).finally(() => {
        came = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(came).toBe(false);
      device.submit();
      expect(await words(bytes)).toEqual([5, 0, 0, 0]);
    });

    test("may be many in flight, with many readbacks each", async () => {
      const out = await device.createBuffer("out", 4 * 64);
      await prepare(storeParam);
      const buffers = { out: wholeBuffer(out) };
      const reads: Promise<number[]>[] = [];
      for (let i = 0; i < 40; i++) {
        device.record([{ kernel: storeParam, buffers, dims: { at: i, value: 1000 + i } }]);
        for (const at of [i, 0]) {
          reads.push(words(device.readback({ buffer: out, offsetBytes: 4 * at, sizeBytes: 4 })));
        }
        device.submit();
      }
      const expected = Array.from({ length: 40 }, (_, i) => [[1000 + i], [1000]]).flat();
      expect(await Promise.all(reads)).toEqual(expected);
    });

    test("may hold thousands of dispatches with params of their own", async () => {
      const N = 2500;
      const out = await device.createBuffer("out", 4 * N);
      await prepare(storeParam);
      const buffers = { out: wholeBuffer(out) };
      const calls = Array.from({ length: N }, (_, at) => ({
        kernel: storeParam,
        buffers,
        dims: { at, value: 3 * at + 1 },
      }));
      device.record(calls);
      const got = await readNow(wholeBuffer(out));
      expect(got.findIndex((value, at) => value !== 3 * at + 1)).toBe(-1);
    });

    test("have run when idle resolves", async () => {
      const out = await holding(0, 0, 0, 0);
      await prepare(storeParam);
      const buffers = { out: wholeBuffer(out) };
      device.record([{ kernel: storeParam, buffers, dims: { at: 1, value: 9 } }]);
      device.submit();
      await device.idle();
      expect(await readNow(wholeBuffer(out))).toEqual([0, 9, 0, 0]);
    });

    test("take the dims as they were when recorded", async () => {
      const out = await holding(0, 0, 0, 0);
      await prepare(storeParam);
      const dims = { at: 0, value: 1 };
      device.record([{ kernel: storeParam, buffers: { out: wholeBuffer(out) }, dims }]);
      dims.value = 2;
      expect(await readNow(wholeBuffer(out))).toEqual([1, 0, 0, 0]);
    });
  });

  describe("GPU time", () => {
    /** Dispatches that take milliseconds on any software driver. */
    const HEAVY = 80;
    const HEAVY_N = 1 << 16;
    /** Timestamps of browsers and Dawn are rounded to this, in milliseconds. */
    const ROUNDING_MS = 0.1;
    const isTimed = () =>
      device.info.kind === "reference" || device.info.features.includes("timestamp-query");
    const loadOf = async (): Promise<KernelCall> => {
      const [x, total] = [
        await device.createBuffer("x", 4 * HEAVY_N),
        await device.createBuffer("total", 4 * HEAVY_N),
      ];
      await prepare(shiftAdd, { S: 10 });
      return { ...shiftAdds(x, total), dims: { N: HEAVY_N, S: 10 } };
    };
    const times = (call: KernelCall, count: number) => Array<KernelCall>(count).fill(call);
    const sliceOf = ({ buffers }: KernelCall) => ({ ...buffers.total!, sizeBytes: 4 });

    /** Dispatches in one submission, a copy after each group. */
    async function timed(call: KernelCall, ...counts: number[]) {
      const startedMs = performance.now();
      const reads = counts.map((count) => {
        device.record(times(call, count));
        return device.readback(sliceOf(call));
      });
      const submission = device.submit();
      await Promise.all(reads);
      return { gpuMs: submission.gpuMs, wallMs: performance.now() - startedMs };
    }

    test("is above zero and within the wait, or never known", async () => {
      const { gpuMs, wallMs } = await timed(await loadOf(), HEAVY);
      if (!isTimed()) return expect(gpuMs).toBeUndefined();
      expect(gpuMs).toBeGreaterThan(0);
      expect(gpuMs).toBeLessThan(wallMs + ROUNDING_MS);
    });

    test("covers a submission from its first dispatch to its last, copies between them", async (context) => {
      if (!isTimed()) context.skip("this device has no timestamps");
      const call = await loadOf();
      // The lesser of two, and a tenth of it: other processes may slow the one and not the other.
      const [once, again] = [await timed(call, HEAVY), await timed(call, HEAVY)];
      const alone = Math.min(once.gpuMs!, again.gpuMs!);
      expect((await timed(call, HEAVY, 1)).gpuMs).toBeGreaterThan(alone / 10);
      expect((await timed(call, 1, HEAVY)).gpuMs).toBeGreaterThan(alone / 10);
    });

    test("covers a submission whose params fill more than one command buffer", async (context) => {
      if (!isTimed()) context.skip("this device has no timestamps");
      const call = await loadOf();
      const alone = (await timed(call, HEAVY)).gpuMs!;
      await prepare(storeParam);
      const out = { out: wholeBuffer(await holding(0, 0, 0, 0)) };
      device.record(times(call, HEAVY));
      for (let value = 0; value < 1030; value++) {
        device.record([{ kernel: storeParam, buffers: out, dims: { at: 0, value } }]);
      }
      const read = device.readback(out.out);
      const submission = device.submit();
      await read;
      expect(submission.gpuMs).toBeGreaterThan(alone / 10);
    });

    test("is each submission's own, however many are in flight", async (context) => {
      if (!isTimed()) context.skip("this device has no timestamps");
      const call = await loadOf();
      const startedMs = performance.now();
      const runs = Array.from({ length: 12 }, () => {
        device.record(times(call, HEAVY / 4));
        const read = device.readback(sliceOf(call));
        return { submission: device.submit(), read };
      });
      await Promise.all(runs.map(({ read }) => read));
      const wallMs = performance.now() - startedMs;
      const gpuMs = runs.map(({ submission }) => submission.gpuMs ?? 0);
      expect(Math.min(...gpuMs)).toBeGreaterThan(0);
      const sum = gpuMs.reduce((total, ms) => total + ms);
      expect(sum).toBeLessThan(wallMs + gpuMs.length * ROUNDING_MS);
    });

    test("does not take in what was submitted before", async (context) => {
      if (!isTimed()) context.skip("this device has no timestamps");
      const call = await loadOf();
      const rounds: { heavyMs: number; gpuMs: number }[] = [];
      // Others on the machine may hold any one of them up.
      for (let round = 0; round < 3; round++) {
        const startedMs = performance.now();
        // Nothing of it is read back.
        device.record(times(call, HEAVY));
        device.submit();
        await device.idle();
        const heavyMs = performance.now() - startedMs;
        const { gpuMs = 0 } = await timed(call, 1);
        rounds.push({ heavyMs, gpuMs });
      }
      const least = (of: "heavyMs" | "gpuMs") => Math.min(...rounds.map((round) => round[of]));
      expect(least("gpuMs")).toBeLessThan(least("heavyMs"));
    });

    test("of an empty submission is not known", () => {
      expect(device.submit().gpuMs).toBeUndefined();
    });
  });

  describe("kernels", () => {
    test("are refused before they are prepared, also for other constants", async () => {
      const [x, total] = [await holding(1, 2, 3, 4), await holding(0, 0, 0, 0)];
      const call = shiftAdds(x, total);
      expect(() => device.record([call])).toThrow(/shift_add was recorded before it was prepared/);
      await prepare(shiftAdd, { S: 2 });
      expect(() => device.record([call])).toThrow(/shift_add was recorded before it was prepared/);
      await prepare(shiftAdd, { S: 10 });
      device.record([call]);
      expect(await readNow(wholeBuffer(total))).toEqual([1, 2, 3, 4]);
    });

    test("are refused without one of their bindings", async () => {
      const x = await holding(1, 2, 3, 4);
      await prepare(shiftAdd, { S: 10 });
      const call = { kernel: shiftAdd, buffers: { x: wholeBuffer(x) }, dims: { N: 4, S: 10 } };
      expect(() => device.record([call])).toThrow(/shift_add .* without its binding total/);
    });

    test("are prepared once, each with each set of constants", async () => {
      let ready = 0;
      const specs: PipelineSpec[] = [
        { kernel: shiftAdd, constants: { S: 2 } },
        { kernel: shiftAdd, constants: { S: 3 } },
        { kernel: shiftAdd, constants: { S: 2 } },
        { kernel: storeParam, constants: {} },
      ];
      await device.prepare(specs, () => ready++);
      await device.prepare(specs, () => ready++);
      expect(ready).toBe(3);
      expect(device.counters.pipelines).toBe(3);
    });

    test("run with the constants of the call", async () => {
      const [x, total] = [await holding(1, 2, 3, 4), await holding(1, 1, 1, 1)];
      await device.prepare([2, 3].map((S) => ({ kernel: shiftAdd, constants: { S } })));
      const call = shiftAdds(x, total);
      device.record([2, 3].map((S) => ({ ...call, dims: { N: 4, S } })));
      expect(await readNow(wholeBuffer(total))).toEqual([10, 14, 18, 22]);
    });
  });

  test("counters are exact", async () => {
    const [x, total] = [await holding(1, 2, 3, 4), await holding(0, 0, 0, 0)];
    await prepare(shiftAdd, { S: 10 });
    const before = { ...device.counters };
    const call = shiftAdds(x, total);
    device.write(x, 0, Uint32Array.of(1, 2));
    // A grid of nothing is no dispatch, and an empty submission none either.
    device.record([call, call, { ...call, dims: { N: 0, S: 10 } }]);
    device.submit();
    device.submit();
    await readNow({ buffer: total, offsetBytes: 0, sizeBytes: 12 });
    const { dispatches, submissions, writtenBytes, readBytes, pipelines } = device.counters;
    expect({
      dispatches: dispatches - before.dispatches,
      submissions: submissions - before.submissions,
      readBytes: readBytes - before.readBytes,
      pipelines: pipelines - before.pipelines,
    }).toEqual({ dispatches: 2, submissions: 2, readBytes: 12, pipelines: 0 });
    // On WebGPU the params of the one distinct call travel too.
    const params = device.info.kind === "gpu" ? 256 : 0;
    expect(writtenBytes - before.writtenBytes).toBe(8 + params);
  });

  describe("destroyed", () => {
    const lost = { name: "WeftError", code: "device_lost", message: /create the engine again/ };

    test("every call fails with device_lost, at once", async () => {
      const [x, total] = [await holding(1, 2, 3, 4), await holding(0, 0, 0, 0)];
      await prepare(shiftAdd, { S: 10 });
      device.destroy();
      const code = { code: "device_lost" };
      expect(() => device.write(x, 0, Uint32Array.of(1))).toThrow(expect.objectContaining(code));
      expect(() => device.record([shiftAdds(x, total)])).toThrow(expect.objectContaining(code));
      expect(() => device.submit()).toThrow(expect.objectContaining(code));
      await expect(device.createBuffer("late", 16)).rejects.toMatchObject(code);
      await expect(prepare(storeParam)).rejects.toMatchObject(code);
      await expect(device.readback(wholeBuffer(x))).rejects.toMatchObject(code);
      await expect(device.idle()).rejects.toMatchObject(code);
    });

    test("readbacks in flight fail, submitted or not", async () => {
      const buffer = await holding(1, 2, 3, 4);
      const submitted = device.readback(wholeBuffer(buffer));
      device.submit();
      const recorded = device.readback(wholeBuffer(buffer));
      const failures = Promise.allSettled([submitted, recorded]);
      device.destroy();
      for (const result of await failures) {
        expect(result).toMatchObject({ status: "rejected", reason: { code: lost.code } });
        expect((result as PromiseRejectedResult).reason.message).toMatch(lost.message);
      }
    });

    test("lost resolves, and a second time is nothing", async () => {
      device.destroy();
      expect((await device.lost).reason).toBe("destroyed");
      device.destroy();
    });
  });
});
