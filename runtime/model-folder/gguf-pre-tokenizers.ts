/**
 * How byte-level vocabularies cut a text into words before merging, by the name that GGUF gives it
 * (`tokenizer.ggml.pre`), as tokenizer.json says it. Owns the patterns of the families that models/
 * knows; an unknown name is refused by whoever asks.
 * @see https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp (llm_tokenizer_bpe)
 */

export interface PreTokenizer {
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  /** A word that is a token is taken whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Where `tokenizer.ggml.add_bos_token` does not say it. */
  readonly addsBos: boolean;
}

/** GPT-2's pattern is the library's own. */
const WITH_GPT2 = byteLevel(true);
const ALONE = byteLevel(false);

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS_AND_SPACES = (digits: string) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|` +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LLAMA3 = WORDS_AND_SPACES("\\p{N}{1,3}");
const QWEN2 = WORDS_AND_SPACES("\\p{N}");
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
/** A capital begins a word. @param suffix Of words. */
const CASED_WORDS = (digits: string, suffix = "") =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${suffix}|` +
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${suffix}|${digits}|` +
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const TEKKEN = CASED_WORDS("\\p{N}");
const GPT4O = CASED_WORDS("\\p{N}{1,3}", `${CONTRACTIONS}?`);

const plain: PreTokenizer = {
  normalizer: null,
  preTokenizer: WITH_GPT2,
  ignoreMerges: false,
  addsBos: false,
};
const llama3 = { ...plain, preTokenizer: cut(LLAMA3), ignoreMerges: true, addsBos: true };
const qwen2 = { ...plain, preTokenizer: cut(QWEN2) };
const digits = {
  ...plain,
  preTokenizer: sequence({ type: "Digits", individual_digits: true }, WITH_GPT2),
};

export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["gpt-2", plain],
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["falcon3", llama3],
  ["lfm2", llama3],
  ["smaug-bpe", { ...plain, preTokenizer: cut(LLAMA3) }],
  ["dbrx", { ...plain, preTokenizer: cut(LLAMA3) }],
  ["gpt-4o", { ...plain, preTokenizer: cut(GPT4O) }],
  ["olmo", { ...plain, normalizer: { type: "NFC" } }],
  ["qwen2", { ...qwen2, normalizer: { type: "NFC" } }],
  ["deepseek-r1-qwen", qwen2],
  ["smollm", digits],
  ["starcoder", digits],
  ["refact", digits],
  ["tekken", { ...plain, preTokenizer: cut(TEKKEN), ignoreMerges: true, addsBos: true }],
  [
    // What llama.cpp falls back to for files that do not say it.
    "default",
    {
      ...plain,
      preTokenizer: sequence(
        split("[\\p{P}\\$\\+<=>\\^~\\|]+"),
        split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"),
        split("\\p{N}+"),
        split("[0-9][0-9][0-9]"),
        ALONE,
      ),
    },
  ],
]);

function cut(pattern: string): object {
  return sequence(split(pattern), ALONE);
}

function sequence(...pretokenizers: readonly object[]): object {
  return { type: "Sequence", pretokenizers };
}

function split(pattern: string): object {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function byteLevel(useRegex: boolean): object {
  return { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: useRegex };
}
