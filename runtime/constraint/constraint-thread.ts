/** The script of the thread that knows what constrained answers may say, in Node. */
import { parentPort } from "node:worker_threads";
import { nodePort } from "../remote/port.ts";
import { serveConstraints } from "./serve-constraints.ts";

if (parentPort) serveConstraints(nodePort(parentPort));
