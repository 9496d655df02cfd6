/** How long answers were lately, for those who predict how long others will be. */
import type { Sequence } from "./sequence.ts";

/** Of the mean, the newest's share. */
const SHARE_OF_NEWEST = 0.1;

export class AnswerLengths {
  /** In tokens; undefined while none has ended. */
  meanTokens: number | undefined;

  /** One that never ran says nothing. */
  observeEnd({ hasStarted, numSampledTokens }: Sequence): void {
    if (!hasStarted) return;
    this.meanTokens ??= numSampledTokens;
    this.meanTokens += SHARE_OF_NEWEST * (numSampledTokens - this.meanTokens);
  }
}
