// A conversation sends what was said, keeps what came, and stops at once; the load behind it is as large
// as was asked for.

import { describe, expect, test, vi } from "vitest";
import { BackgroundLoad } from "../../apps/page/background-load.ts";
import { Conversation } from "../../apps/page/conversation.ts";
import { clientOf, shownName } from "../../apps/page/labels.ts";
import { resultOf, TOOLS } from "../../apps/page/tools.ts";
import { type Asked, ScriptedEngine } from "./scripted-engine.ts";

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

describe("tools that are called", () => {
  const answer = { tools: TOOLS };
  const run = async (calls: (asked: Asked, round: number) => void, rounds: number) => {
    const engine = new ScriptedEngine();
    const conversation = new Conversation("A");
    const sending = conversation.send(engine.door, "Go.", { ...HOW, answer });
    for (let round = 0; round < rounds; round++) {
      await vi.waitFor(() => expect(engine.asked).toHaveLength(round + 1));
      calls(engine.asked[round], round);
    }
    return { engine, conversation, last: await sending };
  };

  test("answer, and the model goes on with their result", async () => {
    const { engine, conversation, last } = await run((asked, round) => {
      if (round === 0) asked.call("get_time", '{"city": "Rome"}');
      else asked.say("It is late.");
      asked.finish(round === 0 ? "tool_calls" : "stop");
    }, 2);
    expect(last).toMatchObject({ text: "It is late.", state: "finished", calls: [] });
    const { id, ...call } = conversation.turns[1].calls[0];
    expect(call).toMatchObject({ name: "get_time", arguments: '{"city": "Rome"}' });
    const { time } = JSON.parse(call.result!);
    expect(time).toMatch(/^\d\d:\d\d$/);
    const { messages, tools } = engine.of("A").request;
    expect(tools).toBe(TOOLS);
    const said = { name: "get_time", arguments: '{"city": "Rome"}' };
    expect(messages).toEqual([
      { role: "user", content: "Go." },
      { role: "assistant", content: "", tool_calls: [{ id, type: "function", function: said }] },
      { role: "tool", tool_call_id: id, content: call.result },
    ]);
    void conversation.send(engine.door, "And now?", HOW);
    await vi.waitFor(() => expect(engine.asked).toHaveLength(3));
    expect(engine.of("A").request.messages.slice(0, 3)).toEqual(messages);
    conversation.stop();
  });

  test.each([
    ["Nowhere", "get_time", '{"city": "Nowhere"}', /no time zone is named after Nowhere/],
    ["a minute of no length", "set_timer", '{"minutes": 0}', /a timer has 1 to 1440 minutes/],
    ["a tool that is not there", "buy", "{}", /there is no tool buy/],
    ["what is no JSON", "get_time", '{"city": "Ro', /JSON/],
  ])("say what they cannot do: %s", async (_, name, json, error) => {
    const { conversation } = await run((asked, round) => {
      if (round === 0) asked.call(name, json);
      asked.finish(round === 0 ? "tool_calls" : "stop");
    }, 2);
    expect(JSON.parse(conversation.turns[1].calls[0].result!).error).toMatch(error);
  });

  test("say so when a timer is over", () => {
    vi.useFakeTimers();
    try {
      const later = vi.fn();
      const call = { id: "call_1", name: "set_timer", arguments: '{"minutes": 5}' };
      expect(resultOf(call, later)).toBe('{"status":"ok"}');
      vi.advanceTimersByTime(5 * 60_000 - 1);
      expect(later).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1);
      expect(later).toHaveBeenCalledWith("time is up");
    } finally {
      vi.useRealTimers();
    }
  });

  test("are not called for ever, nor when the answer was cut or stopped", async () => {
    const again = await run((asked) => {
      asked.call("get_time", '{"city": "Oslo"}');
      asked.finish("tool_calls");
    }, 5);
    expect(again.engine.asked).toHaveLength(5);
    const cut = await run((asked) => {
      asked.call("get_time", '{"ci');
      asked.finish("length");
    }, 1);
    expect(cut.engine.asked).toHaveLength(1);
    expect(cut.last.calls).toMatchObject([{ arguments: '{"ci' }]);
    void cut.conversation.send(cut.engine.door, "And?", HOW);
    await vi.waitFor(() => expect(cut.engine.asked).toHaveLength(2));
    expect(cut.engine.of("A").request.messages[1]).toEqual({ role: "assistant", content: "" });
    cut.conversation.stop();
  });
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
