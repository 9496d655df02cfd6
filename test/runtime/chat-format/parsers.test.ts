import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChatFormatName } from "../../../runtime/chat-format/chat-format.ts";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { scale } from "../../harness/soak.ts";
import { gptOss } from "./cases/gpt-oss.ts";
import { hermes } from "./cases/hermes.ts";
import { llama3 } from "./cases/llama3.ts";
import { magistral, mistral } from "./cases/mistral.ts";
import { qwen3, thinking } from "./cases/qwen3.ts";
import { qwen3Coder } from "./cases/qwen3-coder.ts";
import { type AnswerCase, joined, readParts } from "./read-answer.ts";

const CASES: Readonly<Record<ChatFormatName, readonly AnswerCase[]>> = {
  plain: [
    {
      title: "everything is content",
      text: "<think>a</think> <tool_call>{}",
      says: { content: "<think>a</think> <tool_call>{}" },
    },
  ],
  think: thinking,
  hermes,
  qwen3,
  "qwen3-coder": qwen3Coder,
  llama3,
  mistral,
  "mistral-v11": mistral,
  magistral,
  "gpt-oss": gptOss,
};

for (const [name, cases] of Object.entries(CASES) as [ChatFormatName, AnswerCase[]][]) {
  describe(name, async () => {
    const format = await loadChatFormat(name);
    for (const { title, text, options, says } of cases) {
      it(title, () => {
        expect(joined(readParts(format, [text], options))).toEqual(says);
        expect(joined(readParts(format, [...text], options))).toEqual(says);
      });
    }

    it("says the same however the text is cut", () => {
      const cuts = fc.record({
        answer: fc.constantFrom(...cases),
        places: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
      });
      fc.assert(
        fc.property(cuts, ({ answer: { text, options, says }, places }) => {
          const pieces = cut([...text], places);
          expect(joined(readParts(format, pieces, options))).toEqual(says);
        }),
        { numRuns: scale("chat-format", 60, 20_000) },
      );
    });

    it("loses no word of texts made of markers and scraps", () => {
      const scraps = [
        ...format.markers,
        '{"name": "f", "arguments": {',
        '"}',
        "}",
        " \n",
        "é😀",
        "q",
      ];
      const texts = fc.array(fc.constantFrom(...scraps), { maxLength: 12 });
      fc.assert(
        fc.property(texts, fc.boolean(), (pieces, startsThinking) => {
          const options = { startsThinking };
          const whole = joined(readParts(format, [pieces.join("")], options));
          expect(joined(readParts(format, pieces, options))).toEqual(whole);
          expect(joined(readParts(format, [...pieces.join("")], options))).toEqual(whole);
          // No marker has these.
          const letters = (text: string) => text.replace(/[^é😀q]/gu, "").length;
          const { content = "", reasoning = "", calls = [] } = whole;
          const said = letters(content + reasoning + calls.flat().join(""));
          expect(said).toBe(letters(pieces.join("")));
        }),
        { numRuns: scale("chat-format", 60, 20_000) },
      );
    });
  });
}

function cut(letters: readonly string[], places: readonly number[]): string[] {
  const ends = [...places, 0, 1]
    .map((place) => Math.round(place * letters.length))
    .sort((a, b) => a - b);
  return ends.slice(1).map((end, i) => letters.slice(ends[i], end).join(""));
}
