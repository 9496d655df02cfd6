// Dates in prompts: English on every machine, as models have read them.

import { expect, test } from "vitest";
import { strftime } from "../../../runtime/tokenizer/strftime.ts";

test.each([
  ["%d %b %Y", new Date(2024, 6, 26), "26 Jul 2024"],
  ["Today is %A, %d %B %Y.", new Date(2025, 2, 2), "Today is Sunday, 02 March 2025."],
  ["%Y-%m-%d %H:%M:%S", new Date(2031, 0, 9, 7, 5, 3), "2031-01-09 07:05:03"],
  ["%I:%M %p, %a %y", new Date(2031, 11, 31, 0, 30), "12:30 AM, Wed 31"],
  ["%I %p", new Date(2031, 11, 31, 12), "12 PM"],
  ["100 %% %q %-d %", new Date(2031, 0, 1), "100 % %q %-d %"],
])("%s", (format, date, text) => {
  expect(strftime(format, date)).toBe(text);
});
