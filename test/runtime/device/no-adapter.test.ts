// No usable WebGPU is a typed error that says what to do; nothing falls back without a word.

import { expect, test } from "vitest";
import { openGpuDevice } from "../../../runtime/gpu/device.ts";

const gpuWith = (requestAdapter: () => Promise<unknown>) => ({ requestAdapter }) as unknown as GPU;

test("no WebGPU at all", async () => {
  await expect(openGpuDevice(undefined)).rejects.toMatchObject({
    name: "WeftError",
    code: "no_adapter",
    message: expect.stringMatching(/no WebGPU.*weft-llm\/node.*device: 'reference'/),
  });
});

test("no adapter", async () => {
  await expect(openGpuDevice(gpuWith(async () => null))).rejects.toMatchObject({
    code: "no_adapter",
    message: expect.stringMatching(/no adapter.*update the browser.*device: 'reference'/),
  });
});

test("an adapter that gives no device", async () => {
  const adapter = {
    features: new Set<string>(),
    limits: {},
    info: {},
    requestDevice: async () => {
      throw new Error("the adapter was used before");
    },
  };
  await expect(openGpuDevice(gpuWith(async () => adapter))).rejects.toMatchObject({
    code: "no_adapter",
    message: expect.stringMatching(/the adapter was used before.*device: 'reference'/),
  });
});
