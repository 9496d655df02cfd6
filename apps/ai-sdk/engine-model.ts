/** What all models of the provider have in common: an engine, and which of its models they are. */
import type { EngineApi } from "../../worker.ts";

/** The name under which calls give our own options, and answers what the AI SDK has no place for. */
export const PROVIDER = "weft";

export class EngineModel {
  readonly specificationVersion = "v3";
  readonly provider = PROVIDER;
  protected readonly engine: EngineApi;
  /** As requests say it: nothing, where the engine is to answer with its own. */
  protected readonly asked: { readonly model?: string };

  constructor(engine: EngineApi, modelId: string | undefined) {
    this.engine = engine;
    this.asked = modelId === undefined ? {} : { model: modelId };
  }

  get modelId(): string {
    return this.asked.model ?? this.engine.info.model.id;
  }
}
