import { afterAll, beforeAll, expect, test } from "vitest";
import { gpu } from "../harness/gpu.ts";
import { type HostRig, hostRig, measureHostWork } from "../harness/host-work.ts";
import { report, scale } from "../harness/soak.ts";

let rig: HostRig;
beforeAll(async () => {
  rig = await hostRig(await gpu(), 1);
});
afterAll(() => rig.device.destroy());

test("own", async () => {
  const work = await measureHostWork(rig, 1, scale("host-work", 4, 20), 60);
  console.log(JSON.stringify(work));
  report("host-work", { ...work });
  expect(work.ownUsPerDispatch).toBeLessThan(1);
});
