/** A checkpoint whose quantised weights are asked for as if they were plain. */
import type { Checkpoint } from "./checkpoint.ts";
import { Int4Checkpoint } from "./int4-checkpoint.ts";
import { Mxfp4Checkpoint } from "./mxfp4-checkpoint.ts";
import type { Quantisation } from "./quantisation-config.ts";

export function quantisedCheckpoint(files: Checkpoint, quantisation?: Quantisation): Checkpoint {
  if (!quantisation) return files;
  if (quantisation.method === "mxfp4") return new Mxfp4Checkpoint(files);
  return new Int4Checkpoint(files, quantisation);
}
