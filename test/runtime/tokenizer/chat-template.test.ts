import { afterEach, describe, expect, test, vi } from "vitest";
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

describe("limits", () => {
  const messages = [user];
  const grow = (start: string, step: string) =>
    `{% set ns = namespace(x=${start}) %}{% for i in range(60) %}{% set ns.x = ${step} %}{% endfor %}`;

  afterEach(() => {
    vi.restoreAllMocks();
  });

  test.each([
    ["a long list", "{{ range(1000000000) | length }}", /list of 1000000000 items, 100000/],
    ["a list that doubles", grow("[1]", "ns.x + ns.x"), /list of 131072 items, 100000/],
    ["a text that doubles", grow("'a'", "ns.x ~ ns.x"), /text of 33554432 characters, 16777216/],
    ["a long template", " ".repeat(65_537), /has 65537 characters, 65536 are allowed/],
  ])("of %s", (_, jinja, message) => {
    expect(() => template(jinja).render({ messages })).toThrow(
      expect.objectContaining({
        code: "chat_template_failed",
        message: expect.stringMatching(message),
      }),
    );
  });

  const loop = (body: string) => `{% for i in range(5000) %}${body}{% endfor %}`;
  test.each([
    ["loops in loops", loop(loop(loop("x")))],
    [
      "a macro that calls itself twice",
      `{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}
      {% endif %}{% endmacro %}{{ f(60) }}`,
    ],
  ])("of time, for %s", (_, jinja) => {
    let nowMs = 0;
    vi.spyOn(performance, "now").mockImplementation(() => nowMs++);
    expect(() => template(jinja).render({ messages })).toThrow(
      expect.objectContaining({
        code: "chat_template_failed",
        message: expect.stringMatching(/runs for 5001 ms, 5000 are allowed; shorten the convers/),
      }),
    );
  });

  test("are far from a long conversation", () => {
    const long = Array.from({ length: 2000 }, () => user);
    const text = template(QWEN_LIKE).render({ messages: long });
    expect(text.match(/<\|im_start\|>user\nHi<\|im_end\|>/g)).toHaveLength(2000);
  });

  test("leave what templates are given as it is", () => {
    const render = (jinja: string) => template(jinja).render({ messages });
    expect(render("{{ range(3) }} {{ range(1, 3) }} {{ range(5, 0, -2) }} {{ range(3, 0) }}")).toBe(
      "[0, 1, 2] [1, 2] [5, 3, 1] []",
    );
    // Here a loop that adds the step would stand still.
    expect(render("{{ range(9007199254740992, 9007199254740994) | length }}")).toBe("2");
    expect(render("{{ strftime_now('%Y') }}")).toMatch(/^\d{4}$/);
    const first = "{% set first = [] | first %}{{ first is defined }}";
    expect(render(`{{ True }} {{ none is none }} ${first}`)).toBe("true true false");
  });
});
