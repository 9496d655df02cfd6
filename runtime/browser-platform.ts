/** What browsers bring, in a page and in its workers. */
import type { Platform } from "./create-engine.ts";

export const browserPlatform: Platform = {
  gpu: async () => navigator.gpu,
  constraintPort: async () => (await import("./constraint/browser-worker.ts")).constraintPort(),
  openStore: async () => (await import("./store/browser-store.ts")).browserStore(),
  runtime: globalThis.navigator?.userAgent ?? "",
  quantumMs: 8,
};
