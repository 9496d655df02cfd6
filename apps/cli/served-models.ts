/** What `weft serve` answers with: one model, or several by name, of which those that are used stay loaded. */
import { createEngine, type EngineApi, fileTuningCache } from "../../node.ts";
import type { Terminal } from "./command.ts";
import { loadOptions, type ModelValues, openDevice, openEngine } from "./model-options.ts";
import { UsageError } from "./option.ts";
import { ProgressBar } from "./progress-bar.ts";

export interface ServedModel {
  /** What requests call it; by default what its place is called. */
  readonly name?: string;
  readonly model: string;
}

/** `NAME=M`, or `M` alone where there is one. @throws {UsageError} */
export function servedModels(given: readonly string[] = []): readonly ServedModel[] {
  const models = given.map((text): ServedModel => {
    const [, name, model] = /^([\w.-]+)=(.+)$/s.exec(text) ?? [];
    return name === undefined ? { model: text } : { name, model };
  });
  if (models.length === 0) {
    throw new UsageError("--model is missing; add it, for example --model demo");
  }
  if (models.length > 1) {
    const nameless = models.find(({ name }) => name === undefined);
    if (nameless) {
      throw new UsageError(
        `--model ${nameless.model} has no name and is one of several; write --model NAME=${nameless.model}`,
      );
    }
    const names = models.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice) throw new UsageError(`--model ${twice}=… is given twice; give each another name`);
  }
  return models;
}

type Values = Omit<ModelValues, "model">;

/** @throws {WeftError} of every kind that loading the first can. */
export async function openServed(
  models: readonly ServedModel[],
  values: Values,
  terminal: Terminal,
  options: { readonly maxRows?: number },
): Promise<EngineApi> {
  const [{ model, name }] = models;
  if (models.length === 1) {
    const { engine } = await openEngine({ ...values, model }, terminal, { ...options, name });
    return engine;
  }
  // Each model opens a device of its own: this one only shows which kind there is.
  const device = await openDevice(values, terminal);
  const { kind } = device.info;
  device.destroy();
  const progress = new ProgressBar(terminal);
  try {
    return await createEngine({
      ...loadOptions(values, terminal),
      ...(values.tuned && { tuning: fileTuningCache() }),
      ...options,
      models: Object.fromEntries(models.map((each) => [each.name, each.model])),
      device: kind,
      onProgress: progress.bytes,
    });
  } finally {
    progress.clear();
  }
}
