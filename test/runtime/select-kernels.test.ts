// What a load does about a driver that computes wrong results. The driver is the reference device,
// dressed as a GPU, with a fault planted in chosen kernels.

import { expect, test } from "vitest";
import type { BufferSlice, KernelCall } from "../../kernels/kernel.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import type { Device, DeviceBuffer, DeviceInfo } from "../../runtime/device.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { selectKernels } from "../../runtime/select-kernels.ts";
import { requireSound, selfTest } from "../../runtime/self-test.ts";

/** Adds `error` to the first output of every kernel whose name matches. */
function faulty(pattern: RegExp, error: number): Device {
  const device = new ReferenceDevice();
  const info: DeviceInfo = { ...device.info, kind: "gpu", features: ["shader-f16"] };
  const spoil = async (slice: BufferSlice) => {
    const bytes = await device.readback({ ...slice, sizeBytes: 4 });
    const value = new Float32Array(bytes.buffer, 0, 1);
    value[0] += error;
    device.write(slice.buffer as DeviceBuffer, slice.offsetBytes, value);
  };
  const spoiled: Promise<void>[] = [];
  return new Proxy(device, {
    get(target, name) {
      if (name === "info") return info;
      if (name === "record") {
        return (calls: Iterable<KernelCall>) => {
          const list = [...calls];
          target.record(list);
          for (const { kernel, buffers } of list) {
            if (pattern.test(kernel.name)) spoiled.push(spoil(buffers.out));
          }
        };
      }
      if (name === "readback") {
        return async (slice: BufferSlice) => {
          await Promise.all(spoiled.splice(0));
          return target.readback(slice);
        };
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("a sound device keeps native f16 and all matrix shapes", async () => {
  const choice = await selectKernels(faulty(/nothing/, 0), new Set(["f16"]));
  expect(choice.format("f16")).toBe("f16_native");
  expect(choice.format("bf16")).toBe("bf16");
  expect(choice.shapesAgree).toBe(true);
  expect(choice.demoted).toEqual([]);
});

test("native f16 that computes wrong results is demoted to packed f16, and said so", async () => {
  const choice = await selectKernels(faulty(/f16_native/, 1), new Set(["f16"]));
  expect(choice.format("f16")).toBe("f16");
  expect(choice.shapesAgree).toBe(true);
  expect(choice.demoted).toEqual([expect.stringMatching(/^matmul\.gemv\[f16_native\].*element 0/)]);
});

test.each(["gemv", "tile"])(
  "a %s whose bits differ leaves one shape for all rows",
  async (shape) => {
    const choice = await selectKernels(
      faulty(new RegExp(`\\.${shape}\\[`), 1e-6),
      new Set(["f32"]),
    );
    expect(choice.shapesAgree).toBe(false);
    expect(choice.demoted).toEqual([expect.stringContaining("other bits")]);
  },
);

test("a kernel that computes wrong results stops the load, with its name and the cure", async () => {
  const pipelines = [{ kernel: rmsNorm, constants: {} }];
  const sound = await selfTest(faulty(/nothing/, 0), pipelines);
  expect(sound).toMatchObject({ passed: 1, failed: 0, invariant: true });
  requireSound(sound);

  const wrong = await selfTest(faulty(/rms_norm/, 1), pipelines);
  expect(wrong).toMatchObject({ passed: 0, failed: 1, invariant: false });
  expect(() => requireSound(wrong)).toThrow(/rms_norm.*update the GPU driver/);
});
