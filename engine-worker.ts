/** The script of the workers that `weft-llm/worker` starts: the engine runs here. */
import { browserPlatform } from "./runtime/browser-platform.ts";
import { createHosted } from "./runtime/create-hosted.ts";
import { serveWorkers } from "./runtime/remote/serve-workers.ts";

// Addresses are those of the page, which has made them absolute.
serveWorkers((options, how) =>
  createHosted(browserPlatform, { ...options, ...how }, (model) => model),
);
