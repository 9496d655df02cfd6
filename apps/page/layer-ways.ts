/**
 * Ways to leave layers out, with what each was measured to cost. Figures are read from the committed
 * results (docs/layer-skip.md says how they came about), never written here.
 */

import byTokenDense from "../../docs/results/layer-by-token-demo.json" with { type: "json" };
import byTokenSparse from "../../docs/results/layer-by-token-demo-moe.json" with { type: "json" };
import pareto from "../../docs/results/layer-pareto.json" with { type: "json" };
import type { LayerPolicy } from "../../worker.ts";

export interface LayerWay {
  readonly key: string;
  readonly name: string;
  /** None runs the whole model. */
  readonly policy?: LayerPolicy;
  /** One line: what it leaves out and what that was measured to cost. */
  readonly quality: string;
}

const WHOLE: LayerWay = {
  key: "all",
  name: "all",
  quality: "Every token runs the whole model.",
};

const LOSSLESS: readonly LayerWay[] = [
  {
    key: "self-speculation",
    name: "self-speculation, lossless",
    policy: { name: "self-speculation" },
    quality:
      "Guesses with half of the layers, verifies with all: the same tokens. Stops where it does not pay.",
  },
  {
    key: "prompt-lookup",
    name: "prompt lookup, lossless",
    policy: { name: "prompt-lookup" },
    quality: "Guesses from what was said before, verifies with all layers: the same tokens.",
  },
];

const EARLY_EXIT_THRESHOLD = 0.95;

/** @param key Of an offered model; others were not measured. */
export function layerWays(key: string): readonly LayerWay[] {
  const measured = pareto.models.find(({ model }) => model === `assets/${key}`);
  if (measured === undefined)
    return [WHOLE, ...LOSSLESS, earlyExit("Lossy; not measured for this model.")];
  const front = measured.ways.filter((of) => of.way === "static" && of.pareto);
  // Of plans that leave out as much, the one that loses least.
  const statics = front.filter(
    (of) =>
      !front.some(
        ({ sublayersExecuted, lessWhole }) =>
          sublayersExecuted === of.sublayersExecuted && lessWhole.points > of.lessWhole.points,
      ),
  );
  return [
    WHOLE,
    ...LOSSLESS,
    measuredExit(key === "demo" ? byTokenDense : byTokenSparse),
    ...statics.map(({ plan, sublayers, sublayersExecuted, bytesShare, lessWhole }): LayerWay => {
      const out = sublayers - sublayersExecuted;
      const { points, low, high } = lessWhole;
      return {
        key: `static-${JSON.stringify(plan)}`,
        name: `skip ${out} of ${sublayers}, ${signed(points)} points`,
        policy: { name: "static", plan: plan as object },
        quality:
          `Lossy: ${signed(points)} points of accuracy, 95 % sure between ${signed(low)} and ${signed(high)}, ` +
          `on six tasks; reads ${Math.round(100 * (1 - bytesShare))} % less of the weights.`,
      };
    }),
  ];
}

const earlyExit = (quality: string, name = "early exit, lossy"): LayerWay => ({
  ...{ key: "early-exit", name, quality },
  policy: { name: "early-exit", threshold: EARLY_EXIT_THRESHOLD },
});

interface MeasuredByToken {
  readonly method: string;
  readonly threshold?: number;
  readonly layers: number;
  readonly mean: number;
}

function measuredExit(methods: readonly MeasuredByToken[]): LayerWay {
  const whole = methods.find(({ method }) => method === "whole")!;
  const exit = methods.find(
    ({ method, threshold }) => method === "likeliest" && threshold === EARLY_EXIT_THRESHOLD,
  )!;
  const points = exit.mean - whole.mean;
  return earlyExit(
    `Lossy: ${signed(points)} points of accuracy on five tasks, ${exit.layers.toFixed(1)} of ${whole.layers} ` +
      "layers a token on average; each leaves off where it is sure.",
    `early exit, ${signed(points)} points`,
  );
}

/** With a minus sign, not a hyphen. */
const signed = (points: number): string =>
  `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(2)}`;
