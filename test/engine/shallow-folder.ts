// A model folder that declares only the first layers of its model. The answers are nonsense, and
// everything around them is real: for drivers that take a second for a step of all layers.

import { type ModelFolder, readText } from "../../runtime/model-folder/model-folder.ts";
import { blobSource } from "../../runtime/weights/byte-source.ts";

export function shallowFolder(folder: ModelFolder, numLayers: number): ModelFolder {
  return {
    location: folder.location,
    async open(name, signal) {
      if (name !== "config.json") return folder.open(name, signal);
      const config = JSON.parse(await readText(folder, name, signal));
      const text = JSON.stringify({ ...config, num_hidden_layers: numLayers });
      return blobSource(new Blob([text]), `${folder.location}/${name}`);
    },
  };
}
