/** Which layer plan each token of a sequence runs: its own, that of an alternation, or one yet to be decided. */
import { AlternatingTokens } from "./alternating-tokens.ts";
import type { SequenceRequest } from "./sequence-request.ts";
import type { LayerPlan } from "./work-plan.ts";

export class TokenPlans {
  readonly alternating: AlternatingTokens | undefined;
  #own: LayerPlan | undefined;
  #isDeciding = false;

  constructor({ numPromptTokens, layerPlan, alternation }: SequenceRequest) {
    this.#own = layerPlan;
    this.alternating = alternation && new AlternatingTokens(numPromptTokens, alternation);
  }

  /**
   * The prompt's; undefined runs what all run by default. Of a routed one, in the end, what the device
   * has decided.
   */
  get own(): LayerPlan | undefined {
    return this.#own;
  }

  /** Its first row is planned, and what the device decides by it is not known. */
  get isDeciding(): boolean {
    return this.#isDeciding;
  }

  at(token: number): LayerPlan | undefined {
    return this.alternating?.runsLess(token) ? this.alternating.layerPlan : this.#own;
  }

  /** The first token behind this one that runs something else. */
  endOfRun(token: number): number {
    return this.alternating?.endOfRun(token) ?? Number.POSITIVE_INFINITY;
  }

  /** A row is planned. */
  advance(): void {
    this.#isDeciding ||= this.#own?.isRouted === true;
  }

  /** What the device has decided by its first row; of another that had its id it is let be. */
  route(layerPlan: LayerPlan): void {
    if (!this.#isDeciding) return;
    this.#own = layerPlan;
    this.#isDeciding = false;
  }

  /** What it decided is not known to anybody. */
  forgetUnread(): void {
    this.#isDeciding = false;
  }
}
