// A layer that a router leaves out on the GPU loads no weight and no key, and one that it repeats loads
// them twice: counted by the shaders themselves.

import { expect, test } from "vitest";
import { layerGroups, numStages } from "../../models/decoder.ts";
import { openGpuDevice } from "../../runtime/gpu/device.ts";
import { loadModel } from "../../runtime/load-model.ts";
import type { PlannedRow } from "../../scheduler/work-plan.ts";
import { gpu } from "../harness/gpu.ts";
import { countMoved, type MovedCall } from "../harness/moved-bytes.ts";
import { project } from "../harness/project.ts";
import { randomIds } from "./ask.ts";
import { demoFolder } from "./node-model.ts";
import { RUN_SKIP_REPEAT, routersFolder } from "./router-folder.ts";
import { shallowFolder } from "./shallow-folder.ts";

// Counts are the WGSL's: one driver shows them.
test.skipIf(project() === "swiftshader")(
  "what a router leaves out loads nothing (not on SwiftShader: counts are the WGSL's)",
  async () => {
    const device = await openGpuDevice(await gpu(), { countBytes: true });
    const { runner } = await loadModel(device, shallowFolder(demoFolder(), 3), {
      ...{ layerRouters: routersFolder(RUN_SKIP_REPEAT), maxTokensPerPlan: 32, maxRows: 2 },
    });
    await device.prepare(runner.pipelines);
    const { spec } = runner;
    const ids = randomIds(20, 1);
    const groups = layerGroups(spec);
    const layerPlan = {
      ...{ runs: new Array<boolean>(numStages(spec)).fill(true), keeps: groups.map(() => true) },
      ...{ hash: "routed", isRouted: true },
    };
    const row: PlannedRow = {
      ...{
        sequenceId: 1,
        tokens: { from: 0, to: ids.length },
        kind: "compute" as const,
        sample: true,
      },
      ...{
        stages: { from: 0, to: numStages(spec) },
        layerPlan,
        blockTables: groups.map(() => [1]),
      },
    } as const;
    const counted = countMoved(device);
    await runner.record([{ planned: row, ids, slot: 0 }]);
    const decided = runner.decided();
    device.submit();
    expect([...(await decided)!.layers!]).toEqual([1, 0, 2]);
    const calls = (await counted()).flat();
    const loaded = [0, 1, 2].map((layer) => ({
      weight: sum(calls, layer, "weight"),
      kv: sum(calls, layer, "kv_pool"),
    }));
    expect(loaded[0]!.weight).toBeGreaterThan(0);
    expect(loaded[1]).toEqual({ weight: 0, kv: 0 });
    expect(loaded[2]).toEqual({ weight: 2 * loaded[0]!.weight, kv: 2 * loaded[0]!.kv });
    device.destroy();
  },
  120_000,
);

const sum = (calls: readonly MovedCall[], layer: number, binding: string): number =>
  calls
    .filter(({ call: { label = "" } }) => new RegExp(`^layer ${layer} (attention|mlp)`).test(label))
    .reduce((total, { bytes }) => total + (bytes[binding] ?? 0), 0);
