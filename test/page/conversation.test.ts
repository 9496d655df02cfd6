// A conversation sends what was said, keeps what came, and stops at once; the load behind it is as large
// as was asked for.

import { describe, expect, test, vi } from "vitest";
import { BackgroundLoad } from "../../apps/page/background-load.ts";
import { Conversation } from "../../apps/page/conversation.ts";
import { clientOf, shownName } from "../../apps/page/labels.ts";
import { ScriptedEngine } from "./scripted-engine.ts";

const HOW = { priority: "agent", maxTokens: 64 } as const;

describe("a conversation", () => {
  test("knows the time to its first token and its rate", async () => {
    const engine = new ScriptedEngine();
    let nowMs = 1000;
    const conversation = new Conversation("A", undefined, () => nowMs);
    const sending = conversation.send(engine.door, "hi", { ...HOW, systemPrompt: "be brief" });
    await vi.waitFor(() => engine.of("A"));
    for (let word = 0; word < 5; word++) {
      nowMs += 100;
      engine.of("A").say(`${word} `);
      await vi.waitFor(() => expect(conversation.turns[1].text).toContain(`${word}`));
    }
    engine.of("A").finish();
    const { figures, state } = await sending;
    expect(state).toBe("finished");
    expect(figures).toMatchObject({ tokens: 5, firstTokenMs: 100, tokensPerS: 10, reason: "stop" });
    expect(engine.of("A").request.messages).toEqual([
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" },
    ]);
    expect(engine.of("A").request).toMatchObject({ max_tokens: 64, client: clientOf("A") });
  });

  test("asks one thing at a time, and can be stopped before its first token", async () => {
    const engine = new ScriptedEngine();
    const conversation = new Conversation("A");
    const sending = conversation.send(engine.door, "hi", HOW);
    await expect(conversation.send(engine.door, "you?", HOW)).rejects.toThrow(/not finished/);
    conversation.stop();
    expect(await sending).toMatchObject({ state: "stopped", text: "" });
    expect(conversation.isBusy).toBe(false);
    expect(engine.of("A").isAborted).toBe(true);
  });
});

test("thoughts are told from what is said, and are not sent again", async () => {
  const engine = new ScriptedEngine();
  const conversation = new Conversation("A");
  const sending = conversation.send(engine.door, "7 + 8?", HOW);
  await vi.waitFor(() => engine.of("A"));
  engine.of("A").think("7 + ");
  engine.of("A").think("8");
  engine.of("A").say("15");
  engine.of("A").finish();
  expect(await sending).toMatchObject({ thinking: "7 + 8", text: "15" });
  void conversation.send(engine.door, "and 9?", HOW);
  await vi.waitFor(() => expect(engine.of("A").request.messages).toHaveLength(3));
  expect(engine.of("A").request.messages[1]).toEqual({ role: "assistant", content: "15" });
  conversation.stop();
});

describe("a load in the background", () => {
  test("is as many stories at once as are wanted, each client for itself", async () => {
    const engine = new ScriptedEngine();
    const load = new BackgroundLoad();
    load.set(engine.door, 3);
    expect(engine.asked.map(({ request }) => shownName(request.client!))).toEqual([
      "load 1",
      "load 2",
      "load 3",
    ]);
    expect(engine.asked.every(({ request }) => request.priority === "background")).toBe(true);
    engine.of("load 2").say("Once.");
    engine.of("load 2").finish();
    await vi.waitFor(() => expect(engine.asked).toHaveLength(4));
    expect(load.numFinished).toBe(1);
    load.set(engine.door, 1);
    await vi.waitFor(() => expect(load.numRunning).toBe(1));
    expect(engine.of("load 1").isAborted).toBe(false);
    load.set(undefined, 1);
    await vi.waitFor(() => expect(load.numRunning).toBe(0));
    expect(engine.asked).toHaveLength(4);
  });

  test("ends with its first fault, and says it", async () => {
    const engine = new ScriptedEngine();
    const load = new BackgroundLoad();
    load.set(engine.door, 2);
    engine.of("load 1").fail("no room");
    await vi.waitFor(() => expect(load.problem).toBe("no room"));
    engine.of("load 2").finish();
    await vi.waitFor(() => expect(load.numRunning).toBe(0));
    expect(engine.asked).toHaveLength(2);
  });
});
