// How much a process holds, once what it no longer needs has been collected.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Several times: what one collection frees may free more. */
export async function heapAfterCollection(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 6; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
  }
  return process.memoryUsage().heapUsed;
}
