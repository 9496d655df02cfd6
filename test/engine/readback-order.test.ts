// Readbacks that come in another order than their plans: a device promises none, and two mapped at
// once are seen in either.

import { expect, test } from "vitest";
import type { BufferSlice } from "../../kernels/kernel.ts";
import { seededRandom } from "../../kernels/probe.ts";
import { createEngineWith } from "../../runtime/create-engine.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { ask, randomIds } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

class UnorderedDevice extends ReferenceDevice {
  /** Readbacks that came before one asked for earlier. */
  numOvertaken = 0;
  readonly #random = seededRandom(1);
  #numAsked = 0;
  #latest = 0;

  override async readback(...slices: BufferSlice[]): Promise<Uint8Array> {
    const turn = ++this.#numAsked;
    const bytes = await super.readback(...slices);
    await new Promise((resolve) => setTimeout(resolve, 100 * this.#random()));
    if (turn < this.#latest) this.numOvertaken += 1;
    this.#latest = Math.max(turn, this.#latest);
    return bytes;
  }
}

test("plans whose readbacks overtake each other give the same answers", async () => {
  const model = shallowFolder(demoFolder(), 1);
  const answersOn = async (device: ReferenceDevice) => {
    const engine = await createEngineWith(nodePlatform, {
      model,
      device,
      quantumMs: Number.POSITIVE_INFINITY,
    });
    const prompts = [40, 300, 7, 120].map((length) => randomIds(length, length));
    const answers = await Promise.all(
      prompts.map((prompt) => ask(engine, { prompt, maxTokens: 40, ignoreEos: true })),
    );
    await engine.close();
    return answers.map(({ ids }) => ids);
  };
  const unordered = new UnorderedDevice();
  const answers = await answersOn(unordered);
  expect(answers).toEqual(await answersOn(new ReferenceDevice()));
  expect(unordered.numOvertaken).toBeGreaterThan(3);
});
