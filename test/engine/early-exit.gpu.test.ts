// Once a token has left off, the layers behind load what makes its keys and values, and nothing else:
// counted by the shaders themselves.

import { expect, test } from "vitest";
import { layerGroups, numStages } from "../../models/decoder.ts";
import { exitPlan } from "../../models/exit-plan.ts";
import { openGpuDevice } from "../../runtime/gpu/device.ts";
import { loadModel } from "../../runtime/load-model.ts";
import { gpu } from "../harness/gpu.ts";
import { countMoved, type MovedCall } from "../harness/moved-bytes.ts";
import { project } from "../harness/project.ts";
import { randomIds } from "./ask.ts";
import { demoFolder } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

// Counts are the WGSL's: one driver shows them.
test.skipIf(project() === "swiftshader")(
  "what a token leaves out loads nothing but what it fills in (not on SwiftShader: counts are the WGSL's)",
  async () => {
    const device = await openGpuDevice(await gpu(), { countBytes: true });
    const { runner } = await loadModel(device, shallowFolder(demoFolder(), 3), {
      ...{ maxTokensPerPlan: 32, maxRows: 2 },
    });
    await device.prepare(runner.pipelines);
    const { spec } = runner;
    const groups = layerGroups(spec);
    const ids = randomIds(21, 1);
    const rule = { layers: [1], together: false };
    const plans = {
      leaves: exitPlan(spec, groups, { ...rule, threshold: 1e-6 }),
      stays: exitPlan(spec, groups, { ...rule, threshold: 1 }),
    };
    const row = (from: number, to: number, layerPlan?: typeof plans.leaves) => ({
      ids,
      slot: 0,
      planned: {
        kind: "compute",
        ...{ sequenceId: 1, tokens: { from, to }, sample: true, layerPlan },
        ...{ stages: { from: 0, to: numStages(spec) }, blockTables: groups.map(() => [1]) },
      } as const,
    });
    const moved = async (layerPlan?: typeof plans.leaves) => {
      await runner.record([row(0, 20)]);
      device.submit();
      const counted = countMoved(device);
      await runner.record([row(20, 21, layerPlan)]);
      const decided = runner.decided();
      device.submit();
      const ran = (await decided)?.ran?.get(1);
      return { calls: (await counted()).flat(), ran };
    };
    const [plain, stays, leaves] = [
      await moved(),
      await moved(plans.stays),
      await moved(plans.leaves),
    ];
    expect([stays.ran, leaves.ran]).toEqual([0, 1]);
    const weights = ({ calls }: { calls: readonly MovedCall[] }, label: RegExp) =>
      calls
        .filter(({ call }) => label.test(call.label ?? ""))
        .reduce((sum, { bytes }) => sum + (bytes.weight ?? 0), 0);
    const head = weights(plain, /^head/);
    // Whoever stays has been asked, and needs logits of its own; for others those do that it was asked by.
    expect(weights(stays, /^head/)).toBe(2 * head);
    expect(weights(leaves, /^head/)).toBe(head);
    for (const layer of ["layer 1", "layer 2"]) {
      const of = (sublayer: string) => new RegExp(`^${layer} ${sublayer}`);
      expect(weights(stays, of("mlp"))).toBe(weights(plain, of("mlp")));
      expect(weights(leaves, of("mlp"))).toBe(0);
      const filled = weights(leaves, of("attention"));
      expect(filled).toBeGreaterThan(0);
      expect(filled).toBeLessThan(weights(plain, of("attention")));
    }
    device.destroy();
  },
  120_000,
);
