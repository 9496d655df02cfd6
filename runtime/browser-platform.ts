/** What browsers bring, in a page and in its workers. */
import type { Platform } from "./create-engine.ts";
import { ModelStore } from "./store/model-store.ts";
import { opfsFiles } from "./store/opfs-files.ts";

/** In the origin's private file system. */
export const browserStore = (): ModelStore => new ModelStore(opfsFiles("weft-models"));

export const browserPlatform: Platform = {
  gpu: async () => navigator.gpu,
  get store() {
    return browserStore();
  },
  runtime: globalThis.navigator?.userAgent ?? "",
  quantumMs: 8,
};
