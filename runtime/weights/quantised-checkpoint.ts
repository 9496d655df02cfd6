/**
 * A checkpoint whose quantised weights are asked for as if they were plain. What reads a method is
 * imported when a checkpoint has it.
 */
import type { Checkpoint } from "./checkpoint.ts";
import type { Quantisation } from "./quantisation-config.ts";

export async function quantisedCheckpoint(
  files: Checkpoint,
  quantisation?: Quantisation,
): Promise<Checkpoint> {
  if (!quantisation) return files;
  if (quantisation.method === "mxfp4") {
    const { Mxfp4Checkpoint } = await import("./mxfp4-checkpoint.ts");
    return new Mxfp4Checkpoint(files);
  }
  const { Int4Checkpoint } = await import("./int4-checkpoint.ts");
  return new Int4Checkpoint(files, quantisation);
}
