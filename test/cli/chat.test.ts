// `weft chat` with a script on stdin, one message per line, and how answers are shown and held to a form.

import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { answerFormOf } from "../../apps/cli/answer-form-option.ts";
import { AnswerWriter } from "../../apps/cli/answer-writer.ts";
import { chat } from "../../apps/cli/chat.ts";
import { run } from "../../apps/cli/run.ts";
import { here, terminalOf } from "./terminal.ts";
import { tinyModel } from "./tiny-model.ts";
import { weft } from "./weft.ts";

/** Refuses a second user turn, so a test sees whether the history was kept. */
const ONE_TURN = `{%- if messages | length > 1 -%}
{{- raise_exception(messages | length ~ " messages") -}}
{%- endif -%}
{{- messages[0].content -}}`;

const GREEDY = ["--device", "reference", "--temperature", "0"];
const DEMO = ["--model", "demo", ...GREEDY];

const talk = (model: string, input: string, ...more: string[]) =>
  here(chat, ["--model", model, ...GREEDY, "--max-tokens", "4", ...more], input);

test("answers each line, /reset forgets, /exit leaves", async () => {
  const { status, stdout, stderr } = await talk(tinyModel(), "Hi\n\n/reset\nHi\n/exit\nHi\n");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [first, again, ...rest] = stdout.split("\n");
  expect(first).not.toBe("");
  expect(again).toBe(first);
  expect(rest).toEqual([""]);
});

test("keeps the history, and goes on after a message that failed", async () => {
  const model = tinyModel({ "chat_template.jinja": ONE_TURN });
  const { status, stdout, stderr } = await talk(model, "Hi\nHi\n/reset\nHi");
  expect(status).toBe(1);
  expect(stdout.split("\n")).toHaveLength(3);
  expect(stderr).toMatch(/^weft chat: .*3 messages.*\(chat_template_failed\)\n$/);
});

test("--system opens the conversation, also after /reset", async () => {
  const model = tinyModel({ "chat_template.jinja": ONE_TURN });
  const { stderr } = await talk(model, "Hi\n/reset\nHi\n", "--system", "Be kind");
  expect(stderr.match(/2 messages/g)).toHaveLength(2);
});

test("as a process: Ctrl-C stops the answer and not the conversation", async () => {
  let sent = false;
  const { status, stdout } = await weft(["chat", "--model", tinyModel(), ...GREEDY], {
    input: "Hi\n/exit\n",
    onOutput: ({ kill }) => {
      kill("SIGINT");
      sent = true;
    },
  });
  expect(sent).toBe(true);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^[^\n]+\n$/);
});

test("a screen dims thinking; elsewhere stdout is the answer alone", () => {
  const shown = (isTTY: boolean) => {
    const { written, terminal } = terminalOf({ isTTY });
    const writer = new AnswerWriter(terminal);
    for (const thought of ["", "7 + 8", " = 15"]) writer.think(thought);
    for (const piece of ["", "1", "5"]) writer.say(piece);
    writer.end();
    expect(writer.text).toBe("15");
    return written;
  };
  expect(shown(true)).toEqual({ stdout: "\u001b[2m7 + 8 = 15\u001b[22m\n\n15\n", stderr: "" });
  expect(shown(false)).toEqual({ stdout: "15\n", stderr: "7 + 8 = 15\n" });
});

test("an answer that is cut off in its thinking leaves the screen as it was", () => {
  const { written, terminal } = terminalOf({ isTTY: true });
  const writer = new AnswerWriter(terminal);
  expect(writer.isEmpty).toBe(true);
  writer.think("7");
  writer.end();
  expect(written.stdout).toBe("\u001b[2m7\u001b[22m\n");
});

const file = (name: string, content: string): string => {
  const path = join(tmpdir(), `weft-${process.pid}-${name}`);
  writeFileSync(path, content);
  return path;
};

test("run --chat tells thinking apart, chat keeps to a budget and a form", async () => {
  const sum = "What is 47 + 38?";
  const { stdout, stderr } = await here(run, [...DEMO, "--chat", "--prompt", sum]);
  expect(stdout).toBe("47 + 38 = 85\n");
  expect(stderr).toMatch(/^7 \+ 8 = 15.*\n43 tokens/);
  const schema =
    '{"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}';
  const form = ["--schema", file("schema.json", schema)];
  const budget = ["--thinking-tokens", "8", "--max-tokens", "40"];
  const held = await here(chat, [...DEMO, ...form, ...budget], `${sum}\n`);
  expect(JSON.parse(held.stdout)).toEqual({ sum: expect.any(Number) });
  expect(held.stderr).toMatch(/^7 \+ 8/);
});

test.each([
  [{ schema: "/nowhere/s.json" }, /there is no file \/nowhere\/s\.json; correct the path/],
  [{ schema: file("words.json", "a schema") }, /--schema: .*words\.json is not JSON: .*correct/],
  [{ regex: "a", choice: ["b"] }, /--schema, --regex and --choice .* give one of them/],
])("a form that is none: %o", (values, message) => {
  expect(() => answerFormOf(values)).toThrow(message);
});
