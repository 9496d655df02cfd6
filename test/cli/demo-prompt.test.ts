// What a newcomer sees first: the demo's own prompt gets a story about what it names.

import { expect, test } from "vitest";
import { DEMO_PROMPT } from "../../scripts/demo-prompt.mjs";
import { weftJson } from "./weft.ts";

test("the demo model answers the demo's prompt with a story", async () => {
  const args = ["run", "--model", "demo", "--device", "reference", "--chat"];
  const { text, finishReason } = await weftJson([...args, "--prompt", DEMO_PROMPT]);
  expect(finishReason).toBe("stop");
  expect(text).toMatch(/\bLily\b.*\bfox\b|\bfox\b.*\bLily\b/s);
  expect(text.match(/[.?!]/g).length).toBeGreaterThanOrEqual(6);
});
