// The device of the running project: Dawn or the browser's GPU, or the reference device.

import type { Device, DeviceInfo } from "../../runtime/device.ts";
import { openGpuDevice } from "../../runtime/gpu/device.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { gpu } from "./gpu.ts";
import { project } from "./project.ts";

export type Profile = "full" | "baseline";

/** The reference device has one profile, whatever is asked for. */
export async function openDevice(profile: Profile = "full"): Promise<Device> {
  if (project() === "reference") return new ReferenceDevice();
  return openGpuDevice(await gpu(), { profile });
}

/** What the project's device offers, known while tests are collected. */
export async function deviceInfo(profile: Profile = "full"): Promise<DeviceInfo> {
  const device = await openDevice(profile);
  device.destroy();
  return device.info;
}

/**
 * Lavapipe offers features and larger limits, so there `baseline` is another device; SwiftShader and
 * the reference device have little or nothing to leave out.
 */
export const profiles = (): readonly Profile[] =>
  project() === "lavapipe" ? ["full", "baseline"] : ["full"];
