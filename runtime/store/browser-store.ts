/** The store of a page's origin, in its private file system. */
import { ModelStore } from "./model-store.ts";
import { opfsFiles } from "./opfs-files.ts";

export const browserStore = (): ModelStore => new ModelStore(opfsFiles("weft-models"));
