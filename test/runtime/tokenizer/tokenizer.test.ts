import { describe, expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import {
  BYTE_LETTERS,
  byteLevelTokenizer,
  metaspaceTokenizer,
  sentencePieceTokenizer,
  wordPieceTokenizer,
} from "./fixtures.ts";

const CONFIG = { bos_token: "<|start|>", eos_token: { content: "<|end|>", lstrip: false } };
const build = (tokenizer: unknown, config: Record<string, unknown> = CONFIG) =>
  new Tokenizer({ tokenizer, config, eosTokenIds: [7] });
const tokenizer = build(byteLevelTokenizer());
const PLAIN = { addSpecialTokens: false };
const VOCAB = 265;

describe("encode", () => {
  test("merges, and finds special and added tokens in the text", () => {
    const ids = tokenizer.encode("the the<|end|>é<think>", PLAIN);
    expect(ids.map((id) => tokenizer.token(id))).toEqual([
      "the",
      "Ġthe",
      "<|end|>",
      "Ã",
      "©",
      "<think>",
    ]);
    expect(ids.slice(2, 3)).toEqual([VOCAB]);
  });

  test("adds special tokens when asked", () => {
    expect(tokenizer.encode("a", { addSpecialTokens: true })).toEqual([VOCAB + 1, 97]);
    expect(tokenizer.encode("", PLAIN)).toEqual([]);
    expect(tokenizer.encode("", { addSpecialTokens: true })).toEqual([VOCAB + 1]);
  });

  test.each([
    "Hello , world . It 's  fine\n\n\tx",
    "日本語 한국어 العربية 👨‍👩‍👧 \u0000\uFEFF",
    "constructor __proto__ toString",
    "<|start|>x<|end|>",
  ])("and decode give the text back: %j", (text) => {
    const ids = tokenizer.encode(text, PLAIN);
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text);
  });

  test("refuses a special token of the post-processor that has no id", () => {
    const single = [{ SpecialToken: { id: "<|x|>" } }, { Sequence: { id: "A" } }];
    const post_processor = { type: "TemplateProcessing", single, pair: [] };
    const broken = build({ ...byteLevelTokenizer(), post_processor });
    expect(broken.encode("a", PLAIN)).toEqual([97]);
    expect(() => broken.encode("a", { addSpecialTokens: true })).toThrow(
      expect.objectContaining({
        code: "bad_tokenizer",
        message: expect.stringMatching(/has no token "<\|x\|>" and none for unknown text/),
      }),
    );
  });
});

describe("ids", () => {
  test("that end a text come from both files", () => {
    expect(tokenizer.eosTokenIds).toEqual([7, VOCAB]);
    expect(tokenizer.bosTokenId).toBe(VOCAB + 1);
    expect(build(byteLevelTokenizer(), {}).eosTokenIds).toEqual([7]);
    expect(build(byteLevelTokenizer(), { eos_token: "<|end|>", bos_token: null })).toMatchObject({
      eosTokenIds: [7, VOCAB],
      bosTokenId: undefined,
    });
  });

  test("know whether they are special", () => {
    expect(tokenizer.vocabSize).toBe(VOCAB + 4);
    expect([VOCAB, VOCAB + 1, VOCAB + 2, 5].map((id) => tokenizer.isSpecial(id))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(tokenizer.specialTokens).toEqual({ bos_token: "<|start|>", eos_token: "<|end|>" });
  });

  test("of special tokens and of padding are left out of the text", () => {
    expect(tokenizer.decode([97, VOCAB, 98, 151_935, -1, VOCAB + 2])).toBe("ab<think>");
  });

  test("become bytes where a token alone decides them", () => {
    for (let byte = 0; byte < 256; byte++) {
      const id = tokenizer.tokenId(BYTE_LETTERS[byte])!;
      expect(tokenizer.idToBytes(id)).toEqual(Uint8Array.of(byte));
    }
    const text = (t: Tokenizer, token: string) =>
      new TextDecoder().decode(t.idToBytes(t.tokenId(token)!));
    expect(text(tokenizer, "Ġthe")).toBe(" the");
    expect(text(tokenizer, "｜tool｜")).toBe("｜tool｜");
    const pieces = build(sentencePieceTokenizer());
    expect(text(pieces, "▁the")).toBe(" the");
    expect(pieces.idToBytes(pieces.tokenId("<0xE2>")!)).toEqual(Uint8Array.of(0xe2));
    for (const json of [metaspaceTokenizer(), wordPieceTokenizer()]) {
      expect(build(json).idToBytes(1)).toBeUndefined();
    }
    expect(tokenizer.idToBytes(999_999)).toBeUndefined();
  });
});

type Json = Record<string, unknown>;
type ByteLevel = Json & { model: Json & { vocab: Record<string, unknown>; merges: unknown } };

describe("refuses tokenizer.json", () => {
  test.each<[string, (json: ByteLevel) => unknown, RegExp]>([
    ["that is null", () => null, /it is not an object/],
    ["without a model", ({ model: _, ...rest }) => rest, /it has no model/],
    ["without a vocab", (j) => ({ ...j, model: { type: "BPE" } }), /its model has no vocab/],
    [
      "without merges",
      (j) => ({ ...j, model: { ...j.model, merges: undefined } }),
      /cannot be used/,
    ],
    ["of an unknown model", (j) => ({ ...j, model: { ...j.model, type: "X" } }), /model type "X"/],
    [
      "with an unknown decoder",
      (j) => ({ ...j, decoder: { type: "X" } }),
      /Unknown Decoder type: X/,
    ],
    ["without a decoder", ({ decoder: _, ...rest }) => rest, /"decoder"/],
    ["without added_tokens", (j) => ({ ...j, added_tokens: null }), /no list of added_tokens/],
    [
      "with a broken added token",
      (j) => ({ ...j, added_tokens: [{ id: 1 }] }),
      /entry 0 of its added/,
    ],
    [
      "with an id that is no number",
      (j) => ({ ...j, model: { ...j.model, vocab: { ...j.model.vocab, a: "1" } } }),
      /token "a" has the id "1"/,
    ],
    [
      "with an id beyond any vocabulary",
      (j) => ({ ...j, model: { ...j.model, vocab: { ...j.model.vocab, a: 1e9 } } }),
      /token "a" has the id 1000000000/,
    ],
    [
      "with two tokens of one id",
      (j) => ({ ...j, model: { ...j.model, vocab: { ...j.model.vocab, a: 98 } } }),
      /tokens "a" and "b" share 98/,
    ],
  ])("%s", (_, change, message) => {
    let error: unknown;
    try {
      build(change(structuredClone(byteLevelTokenizer()) as ByteLevel));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(WeftError);
    expect(error).toMatchObject({ code: "bad_tokenizer" });
    expect((error as WeftError).message).toMatch(message);
    expect((error as WeftError).message).toMatch(/take tokenizer\.json from the model's publisher/);
  });

  test("with a broken Unigram vocabulary", () => {
    const json = metaspaceTokenizer() as ByteLevel;
    const model = { ...json.model, vocab: ["a"] };
    expect(() => build({ ...json, model })).toThrow(/entry 0 of its vocab is no pair/);
  });
});
