/** The script of the workers that `weft-llm/worker` starts: the engine runs here. */
import { browserPlatform } from "./runtime/browser-platform.ts";
import { createEngineWith } from "./runtime/create-engine.ts";
import { serveWorkers } from "./runtime/remote/serve-workers.ts";

serveWorkers((options, how) => createEngineWith(browserPlatform, { ...options, ...how }));
