/**
 * `clean_up_tokenization_spaces` of transformers: some spaces before English punctuation go. Owns
 * doing so while the text is still coming in. Only where the model's config asks for it.
 */

/** In the order of transformers; each is replaced in the whole text before the next. */
const REPLACEMENTS = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const;

/**
 * What may still change: from a space on, with only characters of the patterns behind it. No match
 * begins without a space, and none spans a character that is in no pattern.
 */
const UNSETTLED = /^[ .?!,'ntmsvre]$/;

export class CleanUp {
  #held = "";

  /** Text that no later text can change. */
  push(text: string): string {
    const all = this.#held + text;
    let from = all.length;
    for (let i = all.length - 1; i >= 0 && UNSETTLED.test(all[i]); i--) {
      if (all[i] === " ") from = i;
    }
    this.#held = all.slice(from);
    return cleanUp(all.slice(0, from));
  }

  flush(): string {
    const text = cleanUp(this.#held);
    this.#held = "";
    return text;
  }
}

export function cleanUp(text: string): string {
  return REPLACEMENTS.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}
