import { expect, it } from "vitest";
import { toolUse } from "../../../runtime/chat-format/tools.ts";

const parameters = { type: "object", properties: { x: { type: "number" } } };
const tool = (name: string, more: object = {}) => ({
  type: "function",
  function: { name, description: "Does.", parameters, ...more },
});
const tools = [
  tool("f", { strict: true }),
  tool("g", { strict: null, parameters: null }),
  tool("h"),
];
const named = (name: string) => ({ type: "function", function: { name } });
const allowed = (mode: string, ...names: string[]) => ({
  type: "allowed_tools",
  allowed_tools: { mode, tools: names.map(named) },
});

const used = (request: object) => {
  const { shown, callable, required, single } = toolUse({ tools, ...request });
  const names = (shown as { function: { name: string } }[] | undefined)?.map(
    (t) => t.function.name,
  );
  return {
    shown: names?.join(""),
    callable: callable.map(({ name }) => name).join(""),
    required,
    single,
  };
};

it.each([
  [{}, { shown: "fgh", callable: "fgh", required: false, single: false }],
  [
    { tool_choice: "auto", parallel_tool_calls: true },
    { shown: "fgh", callable: "fgh", required: false, single: false },
  ],
  [{ tool_choice: "none" }, { shown: undefined, callable: "", required: false, single: false }],
  [{ tool_choice: "required" }, { shown: "fgh", callable: "fgh", required: true, single: false }],
  [
    { tool_choice: "required", parallel_tool_calls: false },
    { shown: "fgh", callable: "fgh", required: true, single: true },
  ],
  [{ tool_choice: named("g") }, { shown: "fgh", callable: "g", required: true, single: true }],
  [
    { tool_choice: allowed("auto", "g", "h") },
    { shown: "gh", callable: "gh", required: false, single: false },
  ],
  [
    { tool_choice: allowed("required", "f") },
    { shown: "f", callable: "f", required: true, single: false },
  ],
  [{ tools: null }, { shown: undefined, callable: "", required: false, single: false }],
  [
    { tools: [], tool_choice: "none" },
    { shown: undefined, callable: "", required: false, single: false },
  ],
])("%j", (request, expected) => {
  expect(used(request)).toEqual(expected);
});

it("templates see what a model was trained on, and no more", () => {
  const { shown, callable } = toolUse({ tools });
  expect(shown).toEqual([
    { type: "function", function: { name: "f", description: "Does.", parameters } },
    { type: "function", function: { name: "g", description: "Does." } },
    { type: "function", function: { name: "h", description: "Does.", parameters } },
  ]);
  expect(callable.map(({ strict }) => strict)).toEqual([true, false, false]);
  expect(callable[1].parameters).toEqual({
    type: "object",
    properties: {},
    additionalProperties: false,
  });
});

it.each([
  ["tools", { tools: {} }],
  ["tools[1]", { tools: [tool("f"), 5] }],
  ["tools[0].type", { tools: [{ type: "custom", custom: {} }] }],
  ["tools[0].type", { tools: [{ name: "f", parameters }] }],
  ["tools[0].function", { tools: [{ type: "function" }] }],
  ["tools[0].function.name", { tools: [tool("a b")] }],
  ["tools[0].function.name", { tools: [tool("x".repeat(65))] }],
  ["tools[1].function.name", { tools: [tool("f"), tool("f")] }],
  ["tools[0].function.description", { tools: [tool("f", { description: 5 })] }],
  ["tools[0].function.parameters", { tools: [tool("f", { parameters: [] })] }],
  ["tools[0].function.parameters.type", { tools: [tool("f", { parameters: { type: "string" } })] }],
  ["tools[0].function.strict", { tools: [tool("f", { strict: "yes" })] }],
  ["tool_choice", { tool_choice: "any" }],
  ["tool_choice", { tool_choice: named("z") }],
  ["tool_choice", { tool_choice: { type: "function" } }],
  ["tool_choice", { tools: undefined, tool_choice: "required" }],
  ["tool_choice", { tool_choice: allowed("auto", "z") }],
  ["tool_choice.allowed_tools.mode", { tool_choice: allowed("none", "f") }],
  ["parallel_tool_calls", { parallel_tool_calls: "no" }],
])("%s is refused: %j", (field, request) => {
  expect(() => toolUse({ tools, ...request })).toThrow(`${field} is `);
  expect(() => toolUse({ tools, ...request })).toThrow(
    expect.objectContaining({ code: "bad_request" }),
  );
});
