// What decoding asks of the page's thread in a model of 28 layers, as host-work.gpu.test.ts in Node.

import { expect, test } from "vitest";
import { cdp } from "vitest/browser";
import { gpu } from "../harness/gpu.ts";
import { heapGrowth, hostRig, mean, measureHostWork } from "../harness/host-work.ts";
import { report, scale } from "../harness/soak.ts";

// Timed: what else the machine does would fail it, so the gate leaves it out.
test.runIf(scale("host-work", 0, 1) === 1)(
  "host work of a step in a page, beside the same GPU calls made bare (in soak: it is timed)",
  async () => {
    const rig = await hostRig(await gpu(), 1);
    const work = await measureHostWork(rig, 1, 12, 300, mean);
    const heapGrowthPer1000Tokens = await heapGrowth(rig, 1, usedAfterCollection);
    rig.device.destroy();
    report("host-work", { ...work, heapGrowthPer1000Tokens });
    expect(work.ownUsPerDispatch).toBeLessThanOrEqual(1);
    expect(heapGrowthPer1000Tokens).toBeLessThan(16_000);
  },
);

/** The page's own figure is rounded, and a page cannot collect its garbage. */
async function usedAfterCollection(): Promise<number> {
  const session = cdp() as unknown as { send(method: string): Promise<{ usedSize: number }> };
  await session.send("HeapProfiler.collectGarbage");
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}
