/** Layer plans that calibration has found for a model, by name: from its folder, or from the caller. */
import type { RawConfig } from "../models/config.ts";
import type { LayerPlanSpec } from "../models/layer-plan.ts";
import { readDecoderSpec } from "../models/registry.ts";
import { WeftError } from "./errors.ts";
import type { LayerPlanFile, MeasuredExit } from "./layer-plan-file.ts";
import type { LoadModelOptions } from "./load-options.ts";
import { LAYER_PLAN_FILE, readConfig } from "./model-folder/config-files.ts";
import { type ModelFolder, readOptionalText } from "./model-folder/model-folder.ts";
import { parseJsonFile } from "./model-folder/strict-json.ts";

export class CalibratedPlans {
  readonly #file: Pick<LayerPlanFile, "plans" | "drafts" | "exits">;
  readonly #problem: WeftError | undefined;

  /** @param problem Why there is no more than this. */
  constructor(
    file: Pick<LayerPlanFile, "plans" | "drafts" | "exits"> = NOTHING,
    problem?: WeftError,
  ) {
    this.#file = file;
    this.#problem = problem;
  }

  /** What self-speculation drafts with; undefined where nothing was found. */
  get drafts(): readonly LayerPlanSpec[] | undefined {
    return this.#file.drafts.length > 0 ? this.#file.drafts : undefined;
  }

  /** Where tokens may leave off; undefined where nothing was found. */
  get exits(): readonly MeasuredExit[] | undefined {
    const { exits = [] } = this.#file;
    return exits.length > 0 ? exits : undefined;
  }

  /** @throws {WeftError} `bad_request` for a name that is not there; `bad_file` of a file that was refused. */
  named(name: string): LayerPlanSpec {
    const found = this.#file.plans.find((plan) => plan.name === name);
    if (found) return found.plan;
    if (this.#problem) throw this.#problem;
    const known = this.#file.plans.map((plan) => plan.name).join(", ") || "none";
    throw new WeftError(
      "bad_request",
      `plan is ${JSON.stringify(name)}, this engine knows ${known}; name one of them, write a layer ` +
        "plan, or create the engine with what weft calibrate found (layerPlanFile)",
    );
  }

  /**
   * Before weights are loaded. The caller's file is refused at once if it is not of this model. One that lies
   * in the model's folder is refused when a request names a plan of it: nobody has asked for it before.
   * @throws {WeftError} `bad_file`, and what reading the folder throws.
   */
  static async open(
    folder: ModelFolder,
    { quant, layerPlanFile, signal }: CalibratedPlansOptions,
  ): Promise<CalibratedPlans> {
    const check = async (value: unknown, location: string) => {
      const { checkLayerPlanFile } = await import("./layer-plan-file.ts");
      const { weightHash } = await import("./weights/weight-hash.ts");
      const config = await readConfig(folder, signal);
      const { layers } = await readDecoderSpec(config as RawConfig);
      const weights = await weightHash(folder, signal);
      return new CalibratedPlans(
        checkLayerPlanFile(value, { weights, quant, numLayers: layers.length }, location),
      );
    };
    if (layerPlanFile !== undefined) return check(layerPlanFile, "layerPlanFile");
    const text = await readOptionalText(folder, LAYER_PLAN_FILE, signal);
    if (text === undefined) return new CalibratedPlans();
    const location = `${folder.location}/${LAYER_PLAN_FILE}`;
    try {
      return await check(parseJsonFile(text, location), location);
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== "bad_file") throw error;
      return new CalibratedPlans(NOTHING, error);
    }
  }
}

const NOTHING = { plans: [], drafts: [] };

export interface CalibratedPlansOptions extends Pick<LoadModelOptions, "quant" | "signal"> {
  /**
   * What `weft calibrate` has written for this model, as parsed JSON: requests then name its plans
   * (`layerPolicy: { name: "static", plan: "skip-3" }`), and self-speculation drafts with its drafts.
   * Default: the layer-plans.json of the model's folder, if there is one.
   */
  readonly layerPlanFile?: LayerPlanFile;
}
