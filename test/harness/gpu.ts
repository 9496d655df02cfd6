// The `GPU` object of the driver that a test file runs on: Dawn in Node, navigator.gpu in Chromium.

import { paceDawn } from "../../runtime/gpu/dawn-polling.ts";
import { project } from "./project.ts";

/**
 * Workgroup memory keeps what it held: stricter than the platform, which zeroes it, and a tenth of
 * the build time on SwiftShader. The chromium project runs as browsers do.
 */
const UNINITIALISED = "enable-dawn-features=disable_workgroup_init,allow_unsafe_apis";

const holder = globalThis as { weftGpu?: GPU };

/**
 * @returns The same object on every call. It is kept in a global: Dawn crashes when its `gpu` is
 *   collected while an adapter or a device lives.
 * @throws {Error} In project `reference`, which has no GPU.
 */
export async function gpu(): Promise<GPU> {
  if (project() === "reference")
    throw new Error("project reference has no GPU; name the file *.gpu.test.ts");
  if (project() === "chromium") return navigator.gpu;
  if (holder.weftGpu === undefined) {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    paceDawn(globals);
    holder.weftGpu = create([UNINITIALISED]);
  }
  return holder.weftGpu;
}
