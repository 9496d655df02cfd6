import { Tokenizer as Library } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DecodingVocabulary, Detokenizer } from "../../../runtime/tokenizer/detokenizer.ts";
import { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import {
  BYTE_LETTERS,
  byteLevelTokenizer,
  sentencePieceTokenizer,
  TOKENIZERS,
} from "./fixtures.ts";

const RUNS = { numRuns: 300 };
const build = (json: unknown, config = {}) => new Tokenizer({ tokenizer: json, config });

/** The same vocabulary without its bytes: forces the windowed twin. */
function withoutBytes(tokenizer: Tokenizer): DecodingVocabulary {
  return {
    byteDecoder: undefined,
    cleansUp: tokenizer.cleansUp,
    token: (id) => tokenizer.token(id),
    addedToken: (id) => tokenizer.addedToken(id),
    isSpecial: (id) => tokenizer.isSpecial(id),
    decodeWindow: (ids) => tokenizer.decodeWindow(ids),
  };
}

function streamed(detokenizer: Detokenizer, ids: readonly number[]): string[] {
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

/** Ids of every kind, and some that have no token. */
const idsOf = (tokenizer: Tokenizer) =>
  fc.array(fc.nat(tokenizer.vocabSize + 5), { maxLength: 60 });

describe.each(TOKENIZERS)("%s", (_, json) => {
  const tokenizer = build(json());
  const library = new Library(json(), { clean_up_tokenization_spaces: false });
  /** The library's word on all ids at once. */
  function whole(ids: readonly number[], skipSpecialTokens: boolean): string {
    const kept = ids.filter(
      (id) =>
        library.id_to_token(id) !== undefined && !(skipSpecialTokens && tokenizer.isSpecial(id)),
    );
    return kept.length === 0 ? "" : library.decode(kept);
  }

  test.each([
    ["bytes where they do", tokenizer as DecodingVocabulary],
    ["windows", withoutBytes(tokenizer)],
  ])("pieces join to the text of all ids: %s", (_, vocabulary) => {
    fc.assert(
      fc.property(idsOf(tokenizer), fc.boolean(), (ids, skipSpecialTokens) => {
        // The library takes EF BB BF for a mark and drops it; it is a character of the text.
        fc.pre(!/<0xEF>/.test(ids.map((id) => library.id_to_token(id)).join("")));
        const pieces = streamed(new Detokenizer(vocabulary, { skipSpecialTokens }), ids);
        expect(pieces.join("")).toBe(whole(ids, skipSpecialTokens));
      }),
      RUNS,
    );
  });

  test("decode is the same text", () => {
    fc.assert(
      fc.property(idsOf(tokenizer), (ids) => {
        expect(tokenizer.decode(ids)).toBe(streamed(new Detokenizer(tokenizer), ids).join(""));
      }),
      { numRuns: 50 },
    );
    expect(tokenizer.decode([])).toBe("");
  });
});

describe("characters", () => {
  const tokenizer = build(byteLevelTokenizer());
  const idsOfBytes = (text: string) =>
    [...new TextEncoder().encode(text)].map((byte) => tokenizer.tokenId(BYTE_LETTERS[byte])!);

  test("come whole, whatever their bytes are cut into", () => {
    const text = "aé€😀👨‍👩‍👧 한𓀀\uFEFF\u0000";
    for (const vocabulary of [tokenizer, withoutBytes(tokenizer)]) {
      const pieces = streamed(new Detokenizer(vocabulary), idsOfBytes(text));
      expect(pieces.filter((piece) => piece !== "")).toEqual([...text]);
    }
  });

  test("that stay incomplete become U+FFFD, at a flush or when another follows", () => {
    const euro = idsOfBytes("€").slice(0, 2);
    expect(streamed(new Detokenizer(tokenizer), euro)).toEqual(["", "", "�"]);
    expect(streamed(new Detokenizer(tokenizer), [...euro, ...idsOfBytes("a")])).toEqual([
      "",
      "",
      "�a",
      "",
    ]);
    const think = tokenizer.tokenId("<think>")!;
    expect(streamed(new Detokenizer(tokenizer), [...euro, think])).toEqual([
      "",
      "",
      "�<think>",
      "",
    ]);
  });

  test("begun in the prompt are finished in the answer", () => {
    const [first, ...rest] = idsOfBytes("€");
    const detokenizer = new Detokenizer(tokenizer, { after: [...idsOfBytes("abc"), first] });
    expect(streamed(detokenizer, rest)).toEqual(["", "€", ""]);
  });
});

test("the first space goes where the text begins, and stays where it continues", () => {
  const tokenizer = build(sentencePieceTokenizer());
  const ids = ["▁the", "▁a"].map((token) => tokenizer.tokenId(token)!);
  for (const vocabulary of [tokenizer, withoutBytes(tokenizer)]) {
    expect(streamed(new Detokenizer(vocabulary), ids).join("")).toBe("the a");
    expect(streamed(new Detokenizer(vocabulary, { after: ids }), ids).join("")).toBe(" the a");
  }
});

test("the cost of a token does not grow with the text", () => {
  const tokenizer = build(byteLevelTokenizer());
  let longest = 0;
  const detokenizer = new Detokenizer({
    ...withoutBytes(tokenizer),
    decodeWindow(ids) {
      longest = Math.max(longest, ids.length);
      return tokenizer.decodeWindow(ids);
    },
  });
  for (let i = 0; i < 1000; i++) detokenizer.push(tokenizer.tokenId(BYTE_LETTERS[97 + (i % 26)])!);
  expect(longest).toBeLessThanOrEqual(3);
});
