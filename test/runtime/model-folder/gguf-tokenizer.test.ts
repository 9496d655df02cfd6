// Vocabularies in GGUF files encode as the libraries that trained them do (tools/gguf/make.py), and
// as the tokenizer.json of the same vocabulary.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readModelFiles } from "../../../runtime/model-folder/config-files.ts";
import { PRE_TOKENIZERS } from "../../../runtime/model-folder/gguf-pre-tokenizers.ts";
import { readText } from "../../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../../runtime/model-folder/open-folder.ts";
import { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import prompts from "../../fixtures/demo/prompts.json" with { type: "json" };
import goldens from "../../fixtures/gguf/vocabularies.json" with { type: "json" };
import { headOf, vocabularyFile } from "../gguf-fixture.ts";
import { BYTE_LETTERS } from "../tokenizer/fixtures.ts";
import { ggufFile, numbers, scalar, text, texts, type Written } from "../weights/gguf-file.ts";

async function ggufTokenizer(file: Uint8Array<ArrayBuffer>): Promise<Tokenizer> {
  const folder = openModelFolder(new Blob([file]));
  const json = async (name: string) => JSON.parse(await readText(folder, name));
  const { eos_token_id } = await json("generation_config.json");
  return new Tokenizer({
    tokenizer: await json("tokenizer.json"),
    config: await json("tokenizer_config.json"),
    eosTokenIds: eos_token_id,
  });
}

describe.each(["llama-bpe", "qwen2", "gpt-4o", "sentencepiece"] as const)("%s", async (name) => {
  const tokenizer = await ggufTokenizer(vocabularyFile(name));
  test.each(goldens[name].encode)("encodes $text", ({ text, ids, withSpecial }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(withSpecial);
    const decoded = tokenizer.decode(ids, { skipSpecialTokens: false });
    expect(decoded).toBe(name === "qwen2" ? text.normalize("NFC") : text);
  });
});

describe.each(["llama-bpe", "qwen2", "gpt-4o"] as const)(
  "%s beside its tokenizer.json",
  async (name) => {
    const fromGguf = await ggufTokenizer(vocabularyFile(name));
    const fromFolder = new Tokenizer({ tokenizer: goldens[name].tokenizer, config: {} });
    test("same ids for source code and prose", () => {
      for (const file of ["../../../README.md", "../../../runtime/engine.ts"]) {
        const long = readFileSync(new URL(file, import.meta.url), "utf8");
        const ids = fromGguf.encode(long, { addSpecialTokens: true });
        expect(ids).toEqual(fromFolder.encode(long, { addSpecialTokens: true }));
        expect(fromGguf.decode(ids)).toBe(long);
      }
    });
  },
);

test("the demo model's vocabulary: ids, ends and chat template of its folder", async () => {
  const assets = (name: string) =>
    readFileSync(new URL(`../../../assets/demo/${name}`, import.meta.url), "utf8");
  const fromFolder = new Tokenizer({ tokenizer: JSON.parse(assets("tokenizer.json")), config: {} });
  // The front of a file without its data is no sound file: it gets zeros.
  const file = new Uint8Array(8_000_000);
  file.set(headOf("demo-f32"));
  const files = await readModelFiles(openModelFolder(new Blob([file])));
  const { eosTokenIds, temperature } = files.generation;
  expect(new Set(eosTokenIds)).toEqual(new Set([0, 2]));
  expect(temperature).toBe(0);
  expect(files.tokenizerConfig.chat_template).toBe(assets("chat_template.jinja"));
  const tokenizer = new Tokenizer({ tokenizer: files.tokenizer, config: files.tokenizerConfig });
  expect(tokenizer.specialTokens.eos_token).toBe("<|im_end|>");
  for (const { promptTokenIds, tokenIds } of prompts.prompts) {
    for (const ids of [promptTokenIds, tokenIds]) {
      const plain = fromFolder.decode(ids, { skipSpecialTokens: false });
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(plain);
      expect(tokenizer.encode(plain, { addSpecialTokens: true })).toEqual(
        fromFolder.encode(plain, { addSpecialTokens: true }),
      );
    }
  }
});

test.each([...PRE_TOKENIZERS.keys()])("the pre-tokenizer %s loses no letter", async (pre) => {
  const tokenizer = await ggufTokenizer(
    ggufFile({
      pairs: [
        ["tokenizer.ggml.model", text("gpt2")],
        ["tokenizer.ggml.pre", text(pre)],
        ["tokenizer.ggml.tokens", texts(BYTE_LETTERS)],
        ["tokenizer.ggml.merges", texts([])],
      ],
    }),
  );
  for (const { text } of goldens["llama-bpe"].encode) {
    const isComposed = pre === "qwen2" || pre === "olmo";
    const bytes = [...new TextEncoder().encode(isComposed ? text.normalize("NFC") : text)];
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(bytes);
  }
});

const NORMAL = 1;
const CONTROL = 3;
const UNUSED = 5;
const BPE = {
  "tokenizer.ggml.model": text("gpt2"),
  "tokenizer.ggml.pre": text("gpt-2"),
  "tokenizer.ggml.tokens": texts(["a", "b", "ab", "<|end|>", "[PAD4]", "__proto__"]),
  "tokenizer.ggml.token_type": numbers("i32", [NORMAL, NORMAL, NORMAL, CONTROL, UNUSED, CONTROL]),
  "tokenizer.ggml.merges": texts(["a b"]),
  "tokenizer.ggml.eos_token_id": scalar("u32", 3),
};
const withPairs = (changes: Record<string, Written | undefined>) =>
  ggufFile({
    pairs: Object.entries<Written | undefined>({ ...BPE, ...changes }).flatMap(([key, value]) =>
      value ? [[key, value] as const] : [],
    ),
  });

describe("a made-up vocabulary", () => {
  test("<|end|> ends an answer, but not where there are <|return|> and <|call|>", async () => {
    const ends = async (...tokens: string[]) => {
      const pairs = {
        "tokenizer.ggml.tokens": texts(tokens),
        "tokenizer.ggml.token_type": numbers(
          "i32",
          tokens.map(() => CONTROL),
        ),
        "tokenizer.ggml.merges": texts([]),
        "tokenizer.ggml.eos_token_id": scalar("u32", 0),
      };
      return (await ggufTokenizer(withPairs(pairs))).eosTokenIds;
    };
    expect(await ends("<|endoftext|>", "<|end|>", "<|call|>")).toEqual([0, 1]);
    expect(await ends("<|return|>", "<|end|>", "<|call|>", "<|endoftext|>")).toEqual([0, 2, 3]);
  });

  test("unused tokens are left out, odd names are only names", async () => {
    const tokenizer = await ggufTokenizer(withPairs({}));
    expect(tokenizer.encode("ab__proto__b<|end|>", { addSpecialTokens: true })).toEqual([
      2, 5, 1, 3,
    ]);
    expect(tokenizer.token(4)).toBeUndefined();
    expect(tokenizer.eosTokenIds).toEqual([3]);
  });

  test("add_bos_token and add_eos_token frame a text", async () => {
    const tokenizer = await ggufTokenizer(
      withPairs({
        "tokenizer.ggml.bos_token_id": scalar("u32", 5),
        "tokenizer.ggml.add_bos_token": scalar("bool", true),
        "tokenizer.ggml.add_eos_token": scalar("bool", true),
      }),
    );
    expect(tokenizer.encode("ab", { addSpecialTokens: true })).toEqual([5, 2, 3]);
    expect(tokenizer.encode("ab", { addSpecialTokens: false })).toEqual([2]);
    expect(tokenizer.bosTokenId).toBe(5);
  });

  test("several chat templates keep their names", async () => {
    const folder = openModelFolder(
      new Blob([
        withPairs({
          "tokenizer.chat_template": text("plain"),
          "tokenizer.chat_templates": texts(["tool_use"]),
          "tokenizer.chat_template.tool_use": text("with tools"),
        }),
      ]),
    );
    const config = JSON.parse(await readText(folder, "tokenizer_config.json"));
    expect(config.chat_template).toEqual([
      { name: "default", template: "plain" },
      { name: "tool_use", template: "with tools" },
    ]);
  });

  const SPM = {
    "tokenizer.ggml.model": text("llama"),
    "tokenizer.ggml.tokens": texts(["<unk>", "<0x41>", "▁", "a", "▁a", "aa"]),
    "tokenizer.ggml.token_type": numbers("i32", [2, 6, 1, 1, 1, 1]),
    "tokenizer.ggml.scores": numbers("f32", [0, 0, -3, -4, -1, -2]),
  };
  test.each<[string, Record<string, Written | undefined>, string, RegExp]>([
    [
      "an unknown pre-tokenizer",
      { "tokenizer.ggml.pre": text("viking") },
      "bad_tokenizer",
      /"viking", known are gpt-2, llama-bpe/,
    ],
    [
      "an unknown kind",
      { "tokenizer.ggml.model": text("t5") },
      "bad_tokenizer",
      /"t5", gpt2 and llama are supported; take the model's/,
    ],
    [
      "no kind",
      { "tokenizer.ggml.model": undefined },
      "bad_gguf",
      /has no metadata tokenizer\.ggml\.model/,
    ],
    [
      "no tokens",
      { "tokenizer.ggml.tokens": undefined },
      "bad_gguf",
      /no metadata tokenizer\.ggml\.tokens/,
    ],
    [
      "tokens that are numbers",
      { "tokenizer.ggml.tokens": numbers("i32", [1]) },
      "bad_gguf",
      /is of type array, not an array of strings/,
    ],
    [
      "no merges",
      { "tokenizer.ggml.merges": undefined },
      "bad_gguf",
      /no metadata tokenizer\.ggml\.merges/,
    ],
    [
      "a merge of one token",
      { "tokenizer.ggml.merges": texts(["ab"]) },
      "bad_tokenizer",
      /merge 0 is "ab", not two tokens/,
    ],
    [
      "a token twice",
      { "tokenizer.ggml.tokens": texts(["a", "a", "b", "c", "d", "e"]) },
      "bad_tokenizer",
      /tokens 0 and 1 are both "a"/,
    ],
    [
      "too few types",
      { "tokenizer.ggml.token_type": numbers("i32", [1]) },
      "bad_tokenizer",
      /token_type has 1 entries for 6 tokens/,
    ],
    [
      "a bos that is not there",
      {
        "tokenizer.ggml.bos_token_id": scalar("u32", 9),
        "tokenizer.ggml.add_bos_token": scalar("bool", true),
      },
      "bad_tokenizer",
      /bos_token_id is 9, and it has 6 tokens/,
    ],
    [
      "a bos to add, and none",
      { "tokenizer.ggml.add_bos_token": scalar("bool", true) },
      "bad_tokenizer",
      /adds bos to texts and has no bos token/,
    ],
    [
      "pieces without scores",
      { ...SPM, "tokenizer.ggml.scores": undefined },
      "bad_tokenizer",
      /has no tokenizer\.ggml\.scores/,
    ],
    [
      "pieces that share a score",
      { ...SPM, "tokenizer.ggml.scores": numbers("f32", [0, 0, 0, 0, 0, 0]) },
      "bad_tokenizer",
      /pieces share a score/,
    ],
    [
      "pieces without bytes",
      { ...SPM, "tokenizer.ggml.token_type": numbers("i32", [2, 1, 1, 1, 1, 1]) },
      "bad_tokenizer",
      /has no byte tokens/,
    ],
    [
      "pieces that fold spaces",
      { ...SPM, "tokenizer.ggml.remove_extra_whitespaces": scalar("bool", true) },
      "bad_tokenizer",
      /removes repeated spaces/,
    ],
  ])("refuses %s", async (_, changes, code, message) => {
    const error = await ggufTokenizer(withPairs(changes)).catch((e) => e);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
