// A whole model folder in a few hundred kilobytes: a golden's random weights, a tokenizer of single
// ASCII letters, and a chat template that shows what it was given.

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export const GOLDENS = join(import.meta.dirname, "..", "fixtures", "goldens");
/** Has no tokenizer. */
export const GOLDEN = join(GOLDENS, "qwen3", "f32");

/** A space and a line feed as byte-level BPE writes them, then the printable letters. */
const LETTERS = ["Ġ", "Ċ", ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))];
const END = LETTERS.length;

const TEMPLATE = `{%- for message in messages -%}
{%- if message.content == "raise" -%}{{- raise_exception("refused by the template") -}}{%- endif -%}
{{- message.role[0] + ":" + message.content + "\\n" -}}
{%- endfor -%}
{{- "a:" -}}`;

/** Removed after the file's tests. @param more Files that replace or join the folder's own. */
export function tinyModel(more: Readonly<Record<string, string>> = {}, golden = GOLDEN): string {
  const folder = mkdtempSync(join(tmpdir(), "weft-cli-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  for (const name of ["config.json", "model.safetensors"]) {
    copyFileSync(join(golden, name), join(folder, name));
  }
  const files = {
    "tokenizer.json": JSON.stringify(tokenizer()),
    "generation_config.json": JSON.stringify({ eos_token_id: END }),
    "chat_template.jinja": TEMPLATE,
    ...more,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Ids of a text of the known letters. */
export const idsOf = (text: string): number[] =>
  [...text].map((letter) => LETTERS.indexOf({ " ": "Ġ", "\n": "Ċ" }[letter] ?? letter));

const tokenizer = () => ({
  version: "1.0",
  added_tokens: [{ id: END, content: "<|end|>", normalized: false, special: true }],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel" },
  model: {
    type: "BPE",
    vocab: Object.fromEntries(LETTERS.map((letter, id) => [letter, id])),
    merges: [],
  },
});
