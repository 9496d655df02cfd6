// Run as a bundle in a process of its own, with --expose-gc: a test runner rewrites imports, and each
// rewritten one costs what is measured here. Prints one JSON object.

import { create, globals } from "webgpu";
import { paceDawn } from "../../runtime/gpu/dawn-polling.ts";
import { heapGrowth, hostRig, lowerDecile, measureHostWork } from "./host-work.ts";

Object.assign(globalThis, globals);
paceDawn(globals);
// Kept: Dawn crashes when it is collected.
const dawn = create([]);
const [rows, rounds, steps] = process.argv.slice(2).map(Number);
const rig = await hostRig(dawn, rows);
const work = await measureHostWork(rig, rows, rounds, steps, lowerDecile);
const heapGrowthPer1000Tokens = await heapGrowth(rig, rows, usedAfterCollection);
console.log(JSON.stringify({ ...work, heapGrowthPer1000Tokens }));
rig.device.destroy();

function usedAfterCollection(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) throw new Error("run this with --expose-gc");
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}
