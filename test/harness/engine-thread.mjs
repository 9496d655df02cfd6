// A thread that has engines, for tests of `worker_threads`.

import { parentPort } from "node:worker_threads";
import { hostEngines } from "../../dist/node.js";

hostEngines(parentPort);
