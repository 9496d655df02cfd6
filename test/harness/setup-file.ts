// Runs before each test file of the projects that have a GPU.

import { countPipelines } from "./pipeline-count.ts";

await countPipelines();
