// The end of an engine, by its owner or by its device: every open stream ends with a typed error.
// These cases close what the others use, so they run last and in this order.

import { expect, test } from "vitest";
import { all, ask, refused } from "../ask.ts";
import type { Subjects } from "../subject.ts";

export function ending({ main, other, small, takesBack }: Subjects): void {
  const request = { prompt: "Once upon a time", maxTokens: 100, ignoreEos: true };
  const messages = [{ role: "user", content: "Hello" }];

  test("close ends the engine's streams, and the device's loss those of others on it", async () => {
    const closed = Array.from({ length: 3 }, () =>
      refused(ask(small().door, request), "engine_closed", /create another/),
    );
    // Two more than there are rows, so that some are still waiting.
    const lost = Array.from({ length: 18 }, () =>
      refused(ask(main().door, request), "device_lost", /create the engine again/),
    );
    const chat = { messages, stream: true, max_tokens: 100, logit_bias: { 0: -100, 2: -100 } };
    const stream = await other().door.chat.completions.create({ ...chat, stream: true });
    lost.push(refused(all(stream), "device_lost", /create the engine again/));
    const slots = () => main().engine.loop.usage.slots;
    await expect.poll(slots, { interval: 1 }).toBeGreaterThanOrEqual(takesBack ? 1 : 16);
    // All three share one device, which close destroys under the other two.
    await small().door.close();
    await Promise.all([...closed, ...lost]);
    for (const { engine } of [main(), other(), small()]) {
      expect(engine.loop.usage).toMatchObject({ sequences: 0, slots: 0, kv: [0] });
    }
  });

  test("later requests are refused with the same code", async () => {
    await refused(ask(small().door, request), "engine_closed", /create another/);
    for (const { door } of [main(), other()]) {
      await refused(ask(door, request), "device_lost");
      await refused(door.chat.completions.create({ messages }), "device_lost");
      await refused(door.chat.completions.create({ messages, stream: true }), "device_lost");
    }
  });

  test("closing again changes nothing", async () => {
    await small().door.close();
    await main().door.close();
    await refused(ask(small().door, request), "engine_closed");
  });
}
