// A request that comes between the scheduler's "idle" and the loop's sleep: whenever it comes, it is seen.

import { expect, test } from "vitest";
import { randomShapes } from "../../runtime/model-folder/random-shapes.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { decodeRig } from "../harness/decode-rig.ts";

test("a request right behind another's end begins, however many microtasks lie between", async () => {
  const config = { ...randomShapes.tiny, num_hidden_layers: 1 };
  const { decode, loop } = await decodeRig(new ReferenceDevice(), { config, maxRows: 1 });
  await decode(1, 2);
  for (let gap = 0; gap < 12; gap++) {
    const late = new Promise((resolve) => setTimeout(resolve, 5000, "never began"));
    // In the very microtask that the one before ends in, and some behind it.
    expect(await Promise.race([decode(1, 2), late]), `${gap} microtasks`).toBeUndefined();
    for (let i = 0; i < gap; i++) await undefined;
  }
  loop.stop(new Error("the test is over"));
}, 30_000);
