import { expect, it } from "vitest";
import type { ChatFormatName } from "../../../runtime/chat-format/chat-format.ts";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { normaliseMessages } from "../../../runtime/chat-format/messages.ts";
import { ChatTemplate } from "../../../runtime/tokenizer/chat-template.ts";

const call = (id: string, name: string, args: unknown = "{}") => ({
  id,
  type: "function",
  function: { name, arguments: args },
});
const user = { role: "user", content: "Hi" };

it("messages come in the shape that templates know", () => {
  const messages = normaliseMessages([
    {
      role: "developer",
      content: [
        { type: "text", text: "Be" },
        { type: "text", text: "short." },
      ],
    },
    { role: "user", content: "Weather?", name: "Mia" },
    {
      role: "assistant",
      content: null,
      refusal: null,
      audio: null,
      annotations: [],
      function_call: null,
      reasoning_content: "Hm.",
      tool_calls: [call("a", "f", '{"x": {"y": [1]}}'), call("b", "g", "")],
    },
    { role: "tool", tool_call_id: "b", content: [{ type: "text", text: "12" }] },
    { role: "assistant", content: "It rains.", tool_calls: [], reasoning_content: null },
    { role: "assistant", content: null, refusal: "No." },
  ]);
  expect(messages).toEqual([
    { role: "system", content: "Be\nshort." },
    { role: "user", content: "Weather?", name: "Mia" },
    {
      role: "assistant",
      content: "",
      reasoning_content: "Hm.",
      tool_calls: [
        { id: "a", type: "function", function: { name: "f", arguments: { x: { y: [1] } } } },
        { id: "b", type: "function", function: { name: "g", arguments: {} } },
      ],
    },
    { role: "tool", tool_call_id: "b", name: "g", content: "12" },
    { role: "assistant", content: "It rains." },
    { role: "assistant", content: "No." },
  ]);
  expect(Object.hasOwn(messages[4], "tool_calls")).toBe(false);
});

it("arguments that a model left unfinished are shown to it as it wrote them", () => {
  const tool_calls = [call("a", "f", '{"x": "un'), call("b", "g", "[1]"), call("c", "h", { y: 2 })];
  const [message] = normaliseMessages([{ role: "assistant", tool_calls }]);
  const args = message.tool_calls?.map((one) => one.function.arguments);
  expect(args).toEqual(['{"x": "un', "[1]", { y: 2 }]);
});

it("roles and fields of the template's own pass", () => {
  const own = { role: "ipython", content: "1", documents: [{ a: 1 }] };
  expect(normaliseMessages([own, { role: "divider" }])).toEqual([own, { role: "divider" }]);
});

it.each([
  ["messages", undefined],
  ["messages", []],
  ["messages", "Hi"],
  ["messages[1]", [user, null]],
  ["messages[0].role", [{ content: "Hi" }]],
  ["messages[0].content", [{ role: "user" }]],
  ["messages[0].content", [{ role: "user", content: 5 }]],
  ["messages[0].content[1]", [{ role: "user", content: [{ type: "text", text: "a" }, "b"] }]],
  [
    "messages[0].content[0].type",
    [{ role: "user", content: [{ type: "image_url", image_url: {} }] }],
  ],
  ["messages[0].content[0].type", [{ role: "user", content: [{ type: "input_audio" }] }]],
  ["messages[0].content[0].text", [{ role: "user", content: [{ type: "text" }] }]],
  ["messages[0].name", [{ ...user, name: 5 }]],
  ["messages[0].audio", [{ role: "assistant", audio: { id: "a" } }]],
  ["messages[0].function_call", [{ role: "assistant", function_call: { name: "f" } }]],
  ["messages[0].tool_calls", [{ role: "assistant", tool_calls: {} }]],
  ["messages[0].tool_calls[0].type", [{ role: "assistant", tool_calls: [{ type: "custom" }] }]],
  ["messages[0].tool_calls[0].function", [{ role: "assistant", tool_calls: [{ id: "a" }] }]],
  ["messages[0].tool_calls[0].function.name", [{ role: "assistant", tool_calls: [call("a", "")] }]],
  [
    "messages[0].tool_calls[0].function.arguments",
    [{ role: "assistant", tool_calls: [call("a", "f", 5)] }],
  ],
  ["messages[1].tool_call_id", [user, { role: "tool", content: "1", tool_call_id: "zz" }]],
])("%s is refused: %j", (field, messages) => {
  expect(() => normaliseMessages(messages)).toThrow(
    expect.objectContaining({
      code: "bad_request",
      message: expect.stringMatching(/^\S+ is .*, it must be .*; change the request$/),
    }),
  );
  expect(() => normaliseMessages(messages)).toThrow(`${field} is `);
});

/** Rendered by a template that asks of messages what the family's own template asks. */
async function rendered(name: ChatFormatName, jinja: string, messages: readonly object[]) {
  const format = await loadChatFormat(name);
  const normalised = normaliseMessages(messages);
  return new ChatTemplate({ jinja, specialTokens: {} }).render({
    messages: format.templateMessages?.(normalised) ?? normalised,
    addGenerationPrompt: false,
  });
}

const conversation = [
  { role: "user", content: "Both?" },
  {
    role: "assistant",
    content: "I look.",
    reasoning_content: "Two calls.",
    tool_calls: [call("call_1", "f", '{"x": 1}'), call("call_2", "g", '{"y": "ü"}')],
  },
  { role: "tool", tool_call_id: "call_1", content: "one" },
  { role: "tool", tool_call_id: "call_2", content: "two" },
];

it("llama3: one call per message, each before its result", async () => {
  const jinja = `{%- for m in messages %}
    {%- if 'tool_calls' in m %}
      {%- if m.tool_calls|length != 1 %}{{ raise_exception('one call') }}{% endif %}
      {%- set f = m.tool_calls[0].function %}
      {{- '<a>{"name": "' + f.name + '", "parameters": ' + (f.arguments | tojson) + '}' }}
    {%- elif m.role == 'tool' %}{{- '<t>' + m.content }}
    {%- else %}{{- '<u>' + m.content | trim }}{% endif %}
  {%- endfor %}`;
  expect(await rendered("llama3", jinja, conversation)).toBe(
    '<u>Both?<a>{"name": "f", "parameters": {"x": 1}}<t>one<a>{"name": "g", "parameters": {"y": "ü"}}<t>two',
  );
});

it("mistral: ids of nine letters and digits, the same in call and result", async () => {
  const jinja = `{%- for m in messages %}
    {%- if m.tool_calls is defined %}
      {%- for c in m.tool_calls %}
        {%- if c.id|length != 9 %}{{ raise_exception('nine') }}{% endif %}
        {{- c.id + '=' + c.function.name + ' ' }}
      {%- endfor %}
    {%- elif m.role == 'tool' %}{{- m.tool_call_id + '=' + m.content + ' ' }}{% endif %}
  {%- endfor %}`;
  const text = await rendered("mistral", jinja, conversation);
  expect(text).toMatch(/^(\w{9})=f (\w{9})=g \1=one \2=two $/);
  const own = [
    { role: "assistant", tool_calls: [call("aB3dE6gH9", "f")] },
    { role: "tool", tool_call_id: "aB3dE6gH9", content: "1" },
  ];
  expect(await rendered("mistral", jinja, own)).toBe("aB3dE6gH9=f aB3dE6gH9=1 ");
});

it("gpt-oss: thinking where its template reads it, one call per message", async () => {
  const jinja = `{%- for m in messages %}
    {%- if 'tool_calls' in m %}
      {%- if m.content and m.thinking %}{{ raise_exception('both') }}{% endif %}
      {{- '<a>' + (m.content or m.thinking or '') + '>' + m.tool_calls[0].function.name }}
    {%- else %}{{- '<' + m.role + '>' + (m.thinking or '') + m.content }}{% endif %}
  {%- endfor %}`;
  const more = [...conversation, { role: "assistant", content: "So.", reasoning_content: "Hm. " }];
  expect(await rendered("gpt-oss", jinja, more)).toBe(
    "<user>Both?<a>Two calls.\n\nI look.>f<tool>one<a>>g<tool>two<assistant>Hm. So.",
  );
});

it("qwen3: reasoning of earlier turns and objects as arguments", async () => {
  const jinja = `{%- for m in messages %}
    {%- if m.role == 'assistant' %}
      {{- '<think>' + m.reasoning_content + '</think>' + m.content }}
      {%- for c in m.tool_calls %}
        {{- '<tool_call>' + (c.function.arguments if c.function.arguments is string else c.function.arguments | tojson) }}
      {%- endfor %}
    {%- endif %}
  {%- endfor %}`;
  expect(await rendered("qwen3", jinja, conversation)).toBe(
    '<think>Two calls.</think>I look.<tool_call>{"x": 1}<tool_call>{"y": "ü"}',
  );
});
