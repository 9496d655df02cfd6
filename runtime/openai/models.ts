/** The models of an engine, OpenAI-shaped. */
import { WeftError } from "../errors.ts";

/** `leaving`: it makes place for another as soon as its requests have ended. */
export type ModelState = "unloaded" | "loading" | "ready" | "leaving";

export interface Model {
  readonly id: string;
  readonly object: "model";
  /** Seconds since 1970: when the engine had it ready. */
  readonly created: number;
  readonly owned_by: string;
  /** Longest sequence, in tokens. Not OpenAI's, but vLLM's. */
  readonly max_model_len?: number;
  /** Of an engine with several. Not OpenAI's. */
  readonly state?: ModelState;
}

export interface ModelList {
  readonly object: "list";
  readonly data: readonly Model[];
}

export interface ModelsApi {
  list(): Promise<ModelList>;
  /** @throws {WeftError} `model_not_found`. */
  retrieve(id: string): Promise<Model>;
}

export function modelsApi(list: () => readonly Model[] | Promise<readonly Model[]>): ModelsApi {
  return {
    list: async () => ({ object: "list", data: await list() }),
    async retrieve(id) {
      const models = await list();
      const found = models.find((model) => model.id === id);
      if (found) return found;
      const known = models.map((model) => JSON.stringify(model.id)).join(", ");
      throw new WeftError(
        "model_not_found",
        `there is no model ${JSON.stringify(id.slice(0, 80))} here, but ${known}; name one of them`,
      );
    },
  };
}

interface Served {
  readonly model: { readonly id: string; readonly createdMs: number };
  readonly maxContext: number;
}

export const modelOf = ({ model, maxContext }: Served): Model => ({
  id: model.id,
  object: "model",
  created: Math.floor(model.createdMs / 1000),
  owned_by: "weft",
  max_model_len: maxContext,
});
