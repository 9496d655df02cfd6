/** How far a layer plan is from the whole model on given texts. */
import { type LayerPlanSpec, stagePlan } from "../../models/layer-plan.ts";
import type { LoadedModel } from "../load-model.ts";
import { positionLogits } from "../position-logits.ts";
import { argmax, divergence, type Likeliest, likeliest } from "./likeliest.ts";
import type { OwnText } from "./own-text.ts";

export interface Fidelity {
  /** Mean KL(whole ‖ plan) of next tokens, in nats. */
  readonly kl: number;
  /** Share of tokens whose likeliest id is the whole model's. */
  readonly top1Agreement: number;
}

export type MeasuredModel = Pick<LoadedModel, "runner" | "plan">;

/** Keeps what the whole model says; every plan is held against it, on texts that it runs alone. */
export class Yardstick {
  readonly #model: MeasuredModel;
  readonly #texts: readonly OwnText[];
  readonly #signal: AbortSignal | undefined;
  /** By text and token. */
  readonly #said: Likeliest[][] = [];

  private constructor(model: MeasuredModel, texts: readonly OwnText[], signal?: AbortSignal) {
    this.#model = model;
    this.#texts = texts;
    this.#signal = signal;
  }

  /** @param model Nobody else uses it meanwhile; its `maxLogitRows` bound a step. */
  static async of(
    model: MeasuredModel,
    texts: readonly OwnText[],
    signal?: AbortSignal,
  ): Promise<Yardstick> {
    const yardstick = new Yardstick(model, texts, signal);
    for (const text of texts) {
      const said: Likeliest[] = [];
      for await (const logits of yardstick.#logits(text)) said.push(likeliest(logits));
      yardstick.#said.push(said);
    }
    return yardstick;
  }

  /** Tokens, of all texts together. */
  get numTokens(): number {
    return this.#said.reduce((sum, { length }) => sum + length, 0);
  }

  async measure(plan: LayerPlanSpec): Promise<Fidelity> {
    let [kl, agreeing] = [0, 0];
    await this.visit(plan, (whole, logits) => {
      kl += divergence(whole, logits);
      if (argmax(logits) === whole.top) agreeing += 1;
    });
    return { kl: kl / this.numTokens, top1Agreement: agreeing / this.numTokens };
  }

  /**
   * Token by token, always in the same order.
   * @param see Takes what the whole model says, and logits of the plan that are overwritten afterwards.
   */
  async visit(
    plan: LayerPlanSpec,
    see: (whole: Likeliest, logits: Float32Array, token: number) => void,
  ): Promise<void> {
    let token = 0;
    for (const [i, text] of this.#texts.entries()) {
      let at = 0;
      for await (const logits of this.#logits(text, plan))
        see(this.#said[i][at++], logits, token++);
    }
  }

  /** Of what is said from `from` on: at the token before it, and at all but the last that follow. */
  async *#logits({ ids, from }: OwnText, plan?: LayerPlanSpec): AsyncGenerator<Float32Array> {
    const { spec, kv, maxLogitRows } = this.#model.plan;
    const rows = positionLogits(this.#model, ids.slice(0, -1), {
      positions: "all",
      layerPlan: plan && stagePlan(spec, kv.groups, plan),
      chunkTokens: maxLogitRows,
      signal: this.#signal,
    });
    for await (const { position, logits } of rows) if (position >= from - 1) yield logits;
  }
}
