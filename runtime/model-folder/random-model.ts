/** `random:NAME`, weights of noise in a known shape: for speed without a download. */
import type { ModelFolder } from "./model-folder.ts";
import { badLocation } from "./remote-model.ts";

/**
 * `random:NAME@2` has two layers of it, where all do not fit.
 * @throws {WeftError} `bad_request` when its first file is opened: shapes are imported then.
 */
export function randomModel(model: string): ModelFolder {
  let folder: ModelFolder | undefined;
  return {
    location: model,
    async open(name, signal) {
      folder ??= await shaped(model);
      return folder.open(name, signal);
    },
  };
}

async function shaped(model: string): Promise<ModelFolder> {
  const { randomShapes } = await import("./random-shapes.ts");
  const { randomFolder } = await import("./random-folder.ts");
  const [, name = "", layers] = /^random:([^@]*)(?:@([1-9]\d{0,2}))?$/.exec(model) ?? [];
  const config = Object.hasOwn(randomShapes, name) ? randomShapes[name] : undefined;
  if (config) {
    const depth = layers && { num_hidden_layers: Number(layers) };
    return randomFolder({ ...config, ...depth }, model);
  }
  const known = Object.keys(randomShapes).join(", ");
  throw badLocation(model, `names no shape known here; there are ${known}`);
}
