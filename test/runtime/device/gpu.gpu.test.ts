// What only WebGPU has: shaders that a driver rejects, allocation errors, bind groups, errors that
// surface later, and what a submission's time costs.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { KernelCall } from "../../../kernels/kernel.ts";
import { type DeviceBuffer, wholeBuffer } from "../../../runtime/device.ts";
import { openAdapter } from "../../../runtime/gpu/adapter.ts";
import { GpuDevice } from "../../../runtime/gpu/device.ts";
import { gpu } from "../../harness/gpu.ts";
import { broken, shiftAdd, storeParam } from "./test-kernels.ts";

/** The platform's device under ours: to make it fail, and to see what it is asked for. */
let platform: GPUDevice;
let device: GpuDevice;
async function open(profile: "baseline" | "full"): Promise<void> {
  const opened = await openAdapter(await gpu(), { profile });
  platform = opened.device;
  device = new GpuDevice(opened, {});
}
beforeEach(() => open("baseline"));
afterEach(() => device.destroy());

describe("a kernel that does not compile", () => {
  test("is rejected in the driver's words", async () => {
    await expect(device.prepare([{ kernel: broken, constants: {} }])).rejects.toMatchObject({
      name: "WeftError",
      code: "kernel_rejected",
      message: expect.stringMatching(/kernel broken .* at line \d+: .*no_such_name.*weft info/s),
    });
  });

  test("leaves the device as it was", async () => {
    await device.prepare([{ kernel: broken, constants: {} }]).catch(() => {});
    const out = await device.createBuffer("out", 16);
    await device.prepare([{ kernel: storeParam, constants: {} }]);
    const buffers = { out: wholeBuffer(out) };
    device.record([{ kernel: storeParam, buffers, dims: { at: 2, value: 6 } }]);
    const bytes = device.readback(wholeBuffer(out));
    device.submit();
    expect([...new Uint32Array((await bytes).buffer)]).toEqual([0, 0, 6, 0]);
    expect(device.counters.pipelines).toBe(1);
  });

  test("that asks for more than the device has is rejected too", async () => {
    const wgsl = "@compute @workgroup_size(1024) fn main() { store_out(0u, 1u); }";
    const wide = { ...storeParam, name: "wide", wgsl };
    await expect(device.prepare([{ kernel: wide, constants: {} }])).rejects.toMatchObject({
      code: "kernel_rejected",
      message: expect.stringMatching(/kernel wide .*1024/s),
    });
    await device.prepare([{ kernel: storeParam, constants: {} }]);
  });
});

test("memory that the driver refuses is out_of_memory, and the device goes on", async () => {
  // The software drivers reserve lazily and refuse nothing below their limits, so the answer of the
  // error scope is given here.
  const asked = platform.popErrorScope.bind(platform);
  let answers = 0;
  platform.popErrorScope = async () => {
    await asked();
    return answers++ === 0 ? ({ message: "no memory left" } as GPUError) : null;
  };
  await expect(device.createBuffer("weights", 4096)).rejects.toMatchObject({
    code: "out_of_memory",
    message: expect.stringMatching(
      /weights of 4096 bytes: no memory left; lower memoryBudgetBytes/,
    ),
  });
  expect((await device.createBuffer("smaller", 1024)).sizeBytes).toBe(1024);
});

test("bind groups are built once for a call that is kept", async () => {
  const [x, total] = [await device.createBuffer("x", 16), await device.createBuffer("total", 16)];
  const buffers = { x: wholeBuffer(x), total: wholeBuffer(total) };
  const call = (S: number): KernelCall => ({ kernel: shiftAdd, buffers, dims: { N: 4, S } });
  await device.prepare([2, 3].map((S) => ({ kernel: shiftAdd, constants: { S } })));
  for (let step = 0; step < 5; step++) {
    device.record([call(2), call(2)]);
    device.submit();
  }
  expect(device.counters.bindGroups).toBe(1);
  device.record([call(3)]);
  expect(device.counters.bindGroups).toBe(2);
  device.record([{ ...call(2), buffers: { ...buffers } }]);
  device.submit();
  expect(device.counters.bindGroups).toBe(3);
  await device.idle();
});

test("equal params share a slot, other ones do not", async () => {
  const out = await device.createBuffer("out", 64);
  await device.prepare([{ kernel: storeParam, constants: {} }]);
  const buffers = { out: wholeBuffer(out) };
  const written = device.counters.writtenBytes;
  for (const value of [1, 1, 2, 1, 2]) {
    device.record([{ kernel: storeParam, buffers, dims: { at: 0, value } }]);
  }
  device.submit();
  expect(device.counters.writtenBytes - written).toBe(2 * 256);
});

describe("a submission's time", () => {
  const NUM_STEPS = 50;
  beforeEach(async () => {
    device.destroy();
    await open("full");
  });

  /** Two readbacks in each of the submissions, a few of them in flight. */
  async function steps(out: DeviceBuffer): Promise<void> {
    const buffers = { out: wholeBuffer(out) };
    const inFlight: Promise<unknown>[] = [];
    for (let at = 0; at < NUM_STEPS; at++) {
      device.record([{ kernel: storeParam, buffers, dims: { at: at % 4, value: at } }]);
      const reads = [device.readback(wholeBuffer(out)), device.readback(wholeBuffer(out))];
      device.submit();
      inFlight.push(Promise.all(reads));
      if (inFlight.length > 4) await inFlight.shift();
    }
    await Promise.all(inFlight);
  }

  test("takes nothing new from the platform, and no mapping of its own", async () => {
    const out = await device.createBuffer("out", 16);
    await device.prepare([{ kernel: storeParam, constants: {} }]);
    await steps(out);
    const created = vi.spyOn(platform, "createBuffer");
    const queries = vi.spyOn(platform, "createQuerySet");
    const mapped = vi.spyOn(GPUBuffer.prototype, "mapAsync");
    await steps(out);
    expect(created).not.toHaveBeenCalled();
    expect(queries).not.toHaveBeenCalled();
    expect(mapped).toHaveBeenCalledTimes(2 * NUM_STEPS);
    mapped.mockRestore();
  });

  test("stays unknown when the device is lost under it, and holds nothing up", async () => {
    const out = await device.createBuffer("out", 16);
    const call = {
      kernel: storeParam,
      buffers: { out: wholeBuffer(out) },
      dims: { at: 0, value: 1 },
    };
    await device.prepare([{ kernel: storeParam, constants: {} }]);
    device.record([call]);
    const bytes = device.readback(wholeBuffer(out));
    const submission = device.submit();
    platform.destroy();
    const outcome = await bytes.then(
      () => "came before",
      (error) => error.code,
    );
    await device.lost;
    if (outcome !== "came before") {
      expect(outcome).toBe("device_lost");
      expect(submission.gpuMs).toBeUndefined();
    }
    expect(() => device.submit()).toThrow(expect.objectContaining({ code: "device_lost" }));
  });
});

test("what the GPU reports later fails the next call", async () => {
  const total = await device.createBuffer("total", 16);
  await device.prepare([{ kernel: shiftAdd, constants: { S: 1 } }]);
  // WebGPU takes no buffer as both input and output of one dispatch.
  const buffers = { x: wholeBuffer(total), total: wholeBuffer(total) };
  device.record([{ kernel: shiftAdd, buffers, dims: { N: 4, S: 1 } }]);
  device.submit();
  await device.idle().catch(() => {});
  expect(() => device.submit()).toThrow(
    expect.objectContaining({
      code: "device_error",
      message: expect.stringMatching(/the GPU reported: .*total.*weft info/s),
    }),
  );
});

test("a device that the platform loses is device_lost", async () => {
  const buffer = await device.createBuffer("x", 16);
  const bytes = device.readback(wholeBuffer(buffer));
  device.submit();
  const outcome = bytes.then(
    () => "came before",
    (error) => error.code,
  );
  platform.destroy();
  expect((await device.lost).reason).toBe("destroyed");
  expect(["came before", "device_lost"]).toContain(await outcome);
  expect(() => device.submit()).toThrow(expect.objectContaining({ code: "device_lost" }));
});
