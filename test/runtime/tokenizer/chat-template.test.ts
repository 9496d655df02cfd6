import { describe, expect, test } from "vitest";
import { ChatTemplate } from "../../../runtime/tokenizer/chat-template.ts";

const specialTokens = { bos_token: "<s>", eos_token: "</s>" };
const template = (jinja: string) => new ChatTemplate({ jinja, specialTokens });
const user = { role: "user", content: "Hi" };
const tool = { type: "function", function: { name: "add", parameters: { type: "object" } } };

/** In the manner of Qwen3's, with what templates use most. */
const QWEN_LIKE = `{%- if tools %}
    {{- '<|im_start|>system\\n# Tools' }}
    {%- for tool in tools %}
        {{- "\\n" }}{{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=0) %}
{%- for message in messages[::-1] %}
    {%- if message.role == "user" and ns.last == 0 %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role not in ["system", "user", "assistant"] %}
        {{- raise_exception("Unexpected role " + message.role) }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + (message.content | trim) + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}`;

describe("render", () => {
  test("gives the conversation and opens the answer", () => {
    const messages = [{ role: "system", content: " Be kind. " }, user];
    expect(template(QWEN_LIKE).render({ messages })).toBe(
      "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n" +
        "<|im_start|>assistant\n",
    );
    expect(template(QWEN_LIKE).render({ messages: [user], addGenerationPrompt: false })).toBe(
      "<|im_start|>user\nHi<|im_end|>\n",
    );
  });

  test("passes tools and the thinking switch", () => {
    const text = template(QWEN_LIKE).render({
      messages: [user],
      tools: [tool],
      enableThinking: false,
    });
    expect(text).toBe(
      '<|im_start|>system\n# Tools\n{"type": "function", "function": {"name": "add", ' +
        '"parameters": {"type": "object"}}}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n' +
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    );
    expect(template(QWEN_LIKE).render({ messages: [user], enableThinking: true })).not.toContain(
      "<think>",
    );
  });

  test("passes special tokens and more variables; tools are none, not undefined", () => {
    const jinja = "{{ bos_token }}{{ date }}{{ tools is none }}{{ pad_token is defined }}";
    const text = template(jinja).render({ messages: [user], variables: { date: "today" } });
    expect(text).toBe("<s>todaytruefalse");
  });

  test("leaves the caller's messages as they are", () => {
    const messages = Object.freeze([Object.freeze({ ...user })]);
    expect(template("{{ messages[0].content }}").render({ messages })).toBe("Hi");
  });
});

describe("choice", () => {
  const both = [
    { name: "default", template: "plain" },
    { name: "tool_use", template: "with tools" },
  ];
  test.each([
    ["one text", "plain", "plain", "plain"],
    ["a list", both, "plain", "with tools"],
    ["an object", { default: "plain", tool_use: "with tools" }, "plain", "with tools"],
    ["a list without tool_use", both.slice(0, 1), "plain", "plain"],
  ])("%s", (_, configured, plain, withTools) => {
    const chat = new ChatTemplate({ configured, specialTokens });
    expect(chat.render({ messages: [user] })).toBe(plain);
    expect(chat.render({ messages: [user], tools: [tool] })).toBe(withTools);
  });

  test("chat_template.jinja comes before the config", () => {
    const chat = new ChatTemplate({ jinja: "file", configured: "config", specialTokens });
    expect(chat.render({ messages: [user] })).toBe("file");
  });

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["an empty list", []],
    ["a list of nonsense", [null, { name: 1 }]],
  ])("%s is no template, which only chatting minds", (_, configured) => {
    const chat = new ChatTemplate({ configured, specialTokens });
    expect(() => chat.render({ messages: [user] })).toThrow(
      expect.objectContaining({
        code: "no_chat_template",
        message: expect.stringMatching(/use completions, or take the model's instruct version/),
      }),
    );
  });
});

describe("refusal", () => {
  test("of the messages carries the template's words", () => {
    const messages = [{ role: "pirate", content: "Arr" }];
    expect(() => template(QWEN_LIKE).render({ messages })).toThrow(
      expect.objectContaining({
        code: "chat_template_failed",
        message: expect.stringMatching(/refused these messages: Unexpected role pirate; change/),
      }),
    );
  });

  test("of a message that lacks what the template reads", () => {
    expect(() => template("{{ messages[0].content.strip() }}").render({ messages: [{}] })).toThrow(
      expect.objectContaining({ code: "chat_template_failed" }),
    );
  });

  test("of a template that is not Jinja, at first use", () => {
    const chat = template("{% for x in %}");
    for (let i = 0; i < 2; i++) {
      expect(() => chat.render({ messages: [user] })).toThrow(
        expect.objectContaining({
          code: "chat_template_failed",
          message: expect.stringMatching(/is not valid Jinja/),
        }),
      );
    }
  });

  test("of messages that contain themselves", () => {
    const message: Record<string, unknown> = { ...user };
    message.self = message;
    expect(() => template("{{ messages[0].content }}").render({ messages: [message] })).toThrow(
      expect.objectContaining({ code: "chat_template_failed" }),
    );
  });
});
