/**
 * Plans by which tokens of an answer may leave off before some layers, each where it is sure of what comes
 * next. Owns which layers those may be.
 */
import type { DecoderSpec, LayerGroup } from "./decoder.ts";
import { ModelError } from "./errors.ts";
import { type StagePlan, stagePlan, stagesOf } from "./layer-plan.ts";

/** As the scheduler's `LayerExits`. */
export interface ExitPlan extends StagePlan {
  readonly exits: {
    readonly stages: readonly number[];
    readonly layers: readonly number[];
    readonly thresholds: readonly number[];
    readonly together: boolean;
  };
}

export interface ExitRule {
  /** Before which a token may leave off; rising. */
  readonly layers: readonly number[];
  /** Least probability of its likeliest next token, 0 to 1: one for all, or for each. */
  readonly threshold: number | readonly number[];
  readonly together: boolean;
}

/**
 * Where no rule says so: at 70, 80 and 90 % of the layers. To ask a token costs what the vocabulary does.
 */
export const defaultExits = ({ layers }: DecoderSpec): number[] => {
  const asked = [0.7, 0.8, 0.9].map((share) => Math.round(share * layers.length));
  return [...new Set(asked)].filter((layer) => layer > 0 && layer < layers.length);
};

/** @throws {ModelError} `bad_config`. */
export function exitPlan(
  spec: DecoderSpec,
  groups: readonly LayerGroup[],
  { layers, threshold, together }: ExitRule,
): ExitPlan {
  const { length: numLayers } = spec.layers;
  const isLayer = (layer: unknown) =>
    Number.isInteger(layer) && (layer as number) > 0 && (layer as number) < numLayers;
  const isRising = layers.every((layer, i) => i === 0 || layer > layers[i - 1]);
  if (layers.length === 0 || !layers.every(isLayer) || !isRising) {
    refuse(
      `exits are ${JSON.stringify(layers)}`,
      `list layers of 1 to ${numLayers - 1} before which a token may leave off, rising`,
    );
  }
  const thresholds = typeof threshold === "object" ? threshold : layers.map(() => threshold);
  const isSure = (value: unknown) => typeof value === "number" && value > 0 && value <= 1;
  if (!Array.isArray(thresholds) || !thresholds.every(isSure)) {
    const given = JSON.stringify(threshold);
    refuse(`threshold of exits is ${given}`, "give a probability above 0, at most 1");
  }
  if (thresholds.length !== layers.length) {
    refuse(
      `there are ${layers.length} exits and ${thresholds.length} thresholds`,
      "give one for each, or one for all",
    );
  }
  const convolving = spec.layers.findIndex((layer, i) => i >= layers[0] && layer.convolution);
  if (convolving >= 0) {
    refuse(
      `tokens would leave off before the convolution of layer ${convolving}, which needs each of them`,
      `let exits begin behind layer ${spec.layers.findLastIndex((layer) => layer.convolution)}`,
    );
  }
  const { runs, keeps, hash } = stagePlan(spec, groups, {});
  const stages = layers.map((layer) =>
    stagesOf(spec).findIndex(
      (stage) => stage.kind === "attention" && stage.layer === layer && !stage.isExtra,
    ),
  );
  const rule = { layers, thresholds, together };
  return { runs, keeps, exits: { stages, ...rule }, hash: `${hash} exits ${JSON.stringify(rule)}` };
}

function refuse(what: string, cure: string): never {
  throw new ModelError("bad_config", `${what}; ${cure}`);
}
