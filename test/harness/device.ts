// The device of the running project: Dawn or the browser's GPU, or the reference device.

import type { Device } from "../../runtime/device.ts";
import { openGpuDevice } from "../../runtime/gpu/device.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { gpu } from "./gpu.ts";
import { project } from "./project.ts";

export type Profile = "full" | "baseline";

/** The reference device has one profile; asking for `baseline` there gives the same device. */
export async function openDevice(profile: Profile = "full"): Promise<Device> {
  if (project() === "reference") return new ReferenceDevice();
  return openGpuDevice(await gpu(), { profile });
}

export const profiles = (): readonly Profile[] =>
  project() === "reference" ? ["full"] : ["full", "baseline"];
