/** What preload.ts gives to a page as `weft`. */
import type { RemoteOptions } from "weft-llm/worker";

export interface Bridge {
  /** Which engine the app uses: the main process decides, so that all windows share one. */
  engineOptions(): Promise<RemoteOptions>;
  /** A port comes as a message of the window. Rejects when there is no host for it. */
  askForPort(): Promise<void>;
}
