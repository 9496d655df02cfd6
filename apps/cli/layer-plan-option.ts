/** `--layer-plan`: which layers run, as JSON. What a model of other layers refuses, the engine says. */
import type { LayerPlan } from "../../node.ts";
import { type Option, UsageError } from "./option.ts";

const EXAMPLE = '{"skip":[3],"skipAttention":[5],"skipMlp":[6],"repeat":[8]}';

export const layerPlan: Option<LayerPlan> = {
  value: "JSON",
  help: `which layers run, counted from 0, e.g. ${EXAMPLE}; the answer is another than the model's`,
  parse: (given, name) => {
    try {
      return JSON.parse(given);
    } catch {
      throw new UsageError(`${name} is ${JSON.stringify(given)}, it must be JSON like ${EXAMPLE}`);
    }
  },
};
