/** What a caller may say of experts that do not all fit in GPU memory, and how wrong options are refused. */
import type { DecoderSpec } from "../../models/decoder.ts";
import { numMatrices } from "../../models/moe.ts";
import { WeftError } from "../errors.ts";
import { type Eviction, evictions } from "./eviction.ts";
import type { ExpertId } from "./expert-slots.ts";

export interface ExpertOptions {
  /** GPU memory for experts, in bytes: a cap. Where all fit, all have their place for good. */
  readonly memoryBytes: number;
  /** Host memory for experts that were read, in bytes. Default 0: those that come back are read again. */
  readonly hostBytes?: number;
  /**
   * Who makes room. `decayed` by default: the least used, old uses counting less. No policy changes a
   * token, only how often an expert is waited for.
   */
  readonly eviction?: Eviction;
  /** Keep their slots from the start: `metrics().experts.hottest` of an earlier run, as many as wanted. */
  readonly pinned?: readonly ExpertId[];
}

/** @throws {WeftError} `bad_request`. */
export function checkExpertOptions({ layers }: DecoderSpec, options: ExpertOptions): void {
  const { memoryBytes, hostBytes = 0, eviction, pinned = [] } = options;
  const refuse = (what: string) => {
    throw new WeftError("bad_request", `experts.${what}`);
  };
  for (const [name, bytes] of Object.entries({ memoryBytes, hostBytes })) {
    if (bytes >= 0) continue;
    refuse(`${name} is ${bytes}, it must be a number of bytes, 0 or more; change the option`);
  }
  if (eviction !== undefined && !evictions.includes(eviction)) {
    refuse(`eviction is ${JSON.stringify(eviction)}, it must be one of ${evictions.join(", ")}`);
  }
  if (layers.every(({ moe }) => moe === undefined)) {
    refuse(
      "memoryBytes is given, and this model has no experts; leave the option out, or limit all with " +
        "memoryBudgetBytes",
    );
  }
  for (const { layer, expert } of pinned) {
    const moe = layers[layer]?.moe;
    if (moe && Number.isInteger(expert) && expert >= 0 && expert < numMatrices(moe.router))
      continue;
    refuse(
      `pinned has expert ${expert} of layer ${layer}, which this model is without; take them from ` +
        "metrics().experts.hottest of the same model",
    );
  }
}
