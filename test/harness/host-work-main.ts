// Run as a bundle in a process of its own, with --expose-gc: a test runner rewrites imports, and each
// rewritten one costs what is measured here. Prints one JSON object.

import { create, globals } from "webgpu";
import { paceDawn } from "../../runtime/gpu/dawn-polling.ts";
import { hostRig, measureHostWork } from "./host-work.ts";

Object.assign(globalThis, globals);
paceDawn(globals);
// Kept: Dawn crashes when it is collected.
const dawn = create([]);
const [rows, rounds, steps, traceSteps] = process.argv.slice(2).map(Number);
const rig = await hostRig(dawn, rows);
const work = await measureHostWork(rig, rows, rounds, steps);
// The trace keeps the latest steps, and grows until it has them.
await decodeSteps(traceSteps);
const before = usedAfterCollection();
await decodeSteps(2000);
const heapGrowthPer1000Tokens = (1000 * (usedAfterCollection() - before)) / (2000 * rows);
console.log(JSON.stringify({ ...work, traceSteps, heapGrowthPer1000Tokens }));
rig.device.destroy();

async function decodeSteps(count: number): Promise<void> {
  for (let done = 0; done < count; done += 500) await rig.decode(rows, Math.min(500, count - done));
}

function usedAfterCollection(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) throw new Error("run this with --expose-gc");
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}
