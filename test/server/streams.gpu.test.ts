// 64 streams of the demo model at once, for ten minutes, through a server. In soak alone: the gate has a few
// streams on the reference device (server.test.ts).

import { expect, test } from "vitest";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";

const seconds = scale("streams", 0, 600);
const COUNT = 64;

test.skipIf(seconds === 0 || project() === "swiftshader")(
  `${COUNT} streams for ${seconds} s (in soak, on lavapipe: ten minutes)`,
  async () => {
    const { createEngineWith } = await import("../../runtime/create-engine.ts");
    const { watchBuffers } = await import("../harness/gpu-buffers.ts");
    const { gpu } = await import("../harness/gpu.ts");
    const { demoFolder, nodePlatform } = await import("../engine/node-model.ts");
    const { streams } = await import("./cases/streams.ts");
    await gpu();
    const buffers = watchBuffers();
    const engine = await createEngineWith(nodePlatform, {
      ...{ model: demoFolder(), maxRows: COUNT, memoryBudgetBytes: 64e6 },
    });
    const held = buffers.held();
    const figures = await streams(engine, {
      count: COUNT,
      seconds,
      maxTokens: 64,
      measuresHeap: true,
    });
    const after = buffers.held();
    const { total, now } = await engine.metrics();
    report("streams", { ...figures, buffers: after, total });
    console.log(figures);
    await engine.close();
    buffers.stop();
    expect(figures.errors).toBe(0);
    expect(total.aborted + total.rejected).toBe(0);
    expect(now).toMatchObject({ waiting: 0, running: 0, kv: [0] });
    expect(after).toEqual(held);
    expect(figures.jain).toBeGreaterThan(0.95);
    const [first, last] = figures.heap;
    expect(last - first).toBeLessThan(0.02 * first);
  },
);
