// How commands show an answer, and hold it to a form. In this process, with streams for a terminal.

import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { expect, test } from "vitest";
import { answerFormOf } from "../../apps/cli/answer-form-option.ts";
import { AnswerWriter } from "../../apps/cli/answer-writer.ts";
import { chat } from "../../apps/cli/chat.ts";
import { run } from "../../apps/cli/run.ts";

function terminalOf({ isTTY = false, input = "" } = {}) {
  const out = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof out) => {
    const write = (piece: Buffer, _: string, done: () => void) => {
      out[name] += piece;
      done();
    };
    return Object.assign(new Writable({ write }), { isTTY });
  };
  const { signal } = new AbortController();
  const [stdout, stderr] = [stream("stdout"), stream("stderr")];
  const terminal = { stdin: Readable.from([input]), stdout, stderr, signal };
  return { out, terminal: { ...terminal, onInterrupt() {}, onTerminate() {} } };
}

test("a screen dims thinking; elsewhere stdout is the answer alone", () => {
  const shown = (isTTY: boolean) => {
    const { out, terminal } = terminalOf({ isTTY });
    const writer = new AnswerWriter(terminal);
    for (const thought of ["", "7 + 8", " = 15"]) writer.think(thought);
    for (const piece of ["", "1", "5"]) writer.say(piece);
    writer.end();
    expect(writer.text).toBe("15");
    return out;
  };
  expect(shown(true)).toEqual({ stdout: "\u001b[2m7 + 8 = 15\u001b[22m\n\n15\n", stderr: "" });
  expect(shown(false)).toEqual({ stdout: "15\n", stderr: "7 + 8 = 15\n" });
});

test("one that is cut off while it thinks leaves the screen as it was", () => {
  const { out, terminal } = terminalOf({ isTTY: true });
  const writer = new AnswerWriter(terminal);
  expect(writer.isEmpty).toBe(true);
  writer.think("7");
  writer.end();
  expect(out.stdout).toBe("\u001b[2m7\u001b[22m\n");
});

const file = (name: string, content: string): string => {
  const path = join(tmpdir(), `weft-${process.pid}-${name}`);
  writeFileSync(path, content);
  return path;
};
const DEMO = { model: "demo", device: "reference", temperature: 0 } as const;

test("run --chat tells thinking apart, chat keeps to a budget and a form", async () => {
  const { out, terminal } = terminalOf();
  const sum = { ...DEMO, chat: true, prompt: "What is 47 + 38?" };
  expect(await run.run(sum as object, terminal)).toBe(0);
  expect(out.stdout).toBe("47 + 38 = 85\n");
  expect(out.stderr).toMatch(/^7 \+ 8 = 15.*\n43 tokens/);
  const schema = file(
    "schema.json",
    '{"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}',
  );
  const talk = terminalOf({ input: "What is 47 + 38?\n" });
  const held = { ...DEMO, schema, thinkingTokens: 8, maxTokens: 40 };
  expect(await chat.run(held as object, talk.terminal)).toBe(0);
  expect(JSON.parse(talk.out.stdout)).toEqual({ sum: expect.any(Number) });
  expect(talk.out.stderr).toMatch(/^7 \+ 8/);
});

test.each([
  [{ schema: "/nowhere/s.json" }, /there is no file \/nowhere\/s\.json; correct the path/],
  [{ schema: file("words.json", "a schema") }, /--schema: .*words\.json is not JSON: .*correct/],
  [{ regex: "a", choice: ["b"] }, /--schema, --regex and --choice .* give one of them/],
])("a form that is none: %o", (values, message) => {
  expect(() => answerFormOf(values)).toThrow(message);
});
