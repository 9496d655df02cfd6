import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CleanUp, cleanUp } from "../../../runtime/tokenizer/clean-up.ts";
import { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { byteLevelTokenizer } from "./fixtures.ts";

test("drops the spaces that transformers drops", () => {
  expect(cleanUp("Do n't , it 's ' so ' , we 've 'm 're . ? !")).toBe(
    "Don't, it's'so ', we've'm're.?!",
  );
});

test("gives the same text however it is cut", () => {
  const parts = [" ", "  ", ".", ",", "'", "n't", "n", "'t", "m", "s", "ve", "re", "x", "é", "\n"];
  const text = fc.array(fc.constantFrom(...parts), { maxLength: 30 }).map((t) => t.join(""));
  fc.assert(
    fc.property(text, fc.array(fc.nat(30)), (text, cuts) => {
      const stream = new CleanUp();
      const borders = [0, ...cuts.map((cut) => Math.min(cut, text.length)), text.length];
      borders.sort((a, b) => a - b);
      const pieces = borders.slice(1).map((to, i) => stream.push(text.slice(borders[i], to)));
      expect(pieces.join("") + stream.flush()).toBe(cleanUp(text));
    }),
    { numRuns: 3000 },
  );
});

test("holds back no more than a few letters of plain text", () => {
  const stream = new CleanUp();
  expect(stream.push("It is seven, dear")).toBe("It is seven, dear");
  expect(stream.push(" n")).toBe("");
  expect(stream.push("o")).toBe(" no");
});

describe("a tokenizer", () => {
  const text = "a . b , c";
  test.each([
    [{}, text],
    [{ clean_up_tokenization_spaces: false }, text],
    [{ clean_up_tokenization_spaces: true }, "a. b, c"],
  ])("cleans up only if its config says so: %j", (config, expected) => {
    const tokenizer = new Tokenizer({ tokenizer: byteLevelTokenizer(), config });
    expect(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: true }))).toBe(expected);
  });
});
