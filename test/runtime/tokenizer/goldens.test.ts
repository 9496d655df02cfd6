// Against what the Rust library `tokenizers` made of the same files (record_goldens.py).

import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { byteLevelTokenizer, sentencePieceTokenizer } from "./fixtures.ts";
import goldens from "./goldens.json" with { type: "json" };

describe.each([
  ["byte-level", byteLevelTokenizer()],
  ["SentencePiece", sentencePieceTokenizer()],
] as const)("%s", (name, json) => {
  const golden = goldens.tokenizers[name];
  const tokenizer = new Tokenizer({ tokenizer: json, config: {} });

  test("the recorded tokenizer is the fixture", () => {
    expect(golden.tokenizer).toEqual(JSON.parse(JSON.stringify(json)));
    expect(golden.encode.length + golden.decode.length).toBeGreaterThan(20);
  });

  test.each(golden.encode)("encodes $text", ({ text, ids, withSpecial }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(withSpecial);
  });

  test.each(golden.decode)("decodes $ids", ({ ids, text, withSpecial }) => {
    expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(withSpecial);
  });
});
