// Headless Chromium gives a WebGPU adapter, and it is SwiftShader.

import { expect, test } from "vitest";
import { gpu } from "./gpu.ts";

test("Chromium uses SwiftShader", async () => {
  const adapter = await (await gpu()).requestAdapter();
  expect(adapter?.info.architecture).toBe("swiftshader");
});
