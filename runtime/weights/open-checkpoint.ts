/** A model folder's weights, in whichever format it holds them. */
import type { ModelFolder } from "../model-folder/model-folder.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors-checkpoint.ts";

/** Reads headers only. @throws {WeftError} what the folder's format throws. */
export function openCheckpoint(folder: ModelFolder, signal?: AbortSignal): Promise<Checkpoint> {
  return folder.checkpoint?.(signal) ?? openSafetensors(folder, signal);
}
