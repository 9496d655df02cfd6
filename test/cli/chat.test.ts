// `weft chat` with a script on stdin, one message per line.

import { expect, test } from "vitest";
import { tinyModel } from "./tiny-model.ts";
import { weft } from "./weft.ts";

/** Refuses a second user turn, so a test sees whether the history was kept. */
const ONE_TURN = `{%- if messages | length > 1 -%}
{{- raise_exception(messages | length ~ " messages") -}}
{%- endif -%}
{{- messages[0].content -}}`;

const chat = (model: string, input: string, ...more: string[]) =>
  weft(
    ["chat", "--model", model, "--device", "reference", "--temperature", "0"].concat(
      ["--max-tokens", "4"],
      more,
    ),
    { input },
  );

test("answers each line, /reset forgets, /exit leaves", async () => {
  const { status, stdout, stderr } = await chat(tinyModel(), "Hi\n\n/reset\nHi\n/exit\nHi\n");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [first, again, ...rest] = stdout.split("\n");
  expect(first).not.toBe("");
  expect(again).toBe(first);
  expect(rest).toEqual([""]);
});

test("keeps the history, and goes on after a message that failed", async () => {
  const model = tinyModel({ "chat_template.jinja": ONE_TURN });
  const { status, stdout, stderr } = await chat(model, "Hi\nHi\n/reset\nHi");
  expect(status).toBe(1);
  expect(stdout.split("\n")).toHaveLength(3);
  expect(stderr).toMatch(/^weft chat: .*3 messages.*\(chat_template_failed\)\n$/);
});

test("--system opens the conversation, also after /reset", async () => {
  const model = tinyModel({ "chat_template.jinja": ONE_TURN });
  const { stderr } = await chat(model, "Hi\n/reset\nHi\n", "--system", "Be kind");
  expect(stderr.match(/2 messages/g)).toHaveLength(2);
});

test("Ctrl-C stops the answer and not the conversation", async () => {
  let sent = false;
  const { status, stdout } = await weft(
    ["chat", "--model", tinyModel(), "--device", "reference", "--temperature", "0"],
    {
      input: "Hi\n/exit\n",
      onOutput: ({ kill }) => {
        kill("SIGINT");
        sent = true;
      },
    },
  );
  expect(sent).toBe(true);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^[^\n]+\n$/);
});
