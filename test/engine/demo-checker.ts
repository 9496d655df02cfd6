// The task checkers of the demo model, twins of tools/demo-model/tasks: what counts as right.

export interface DemoCheck {
  readonly exact?: string;
  readonly json?: unknown;
  readonly toolCall?: { readonly name: string; readonly arguments: unknown };
  /** Words that a story must hold, with at least `minSentences` sentences. */
  readonly mention?: readonly string[];
  readonly minSentences?: number;
}

/** @param text The whole answer; only what follows the thinking block is judged. */
export function isRight(check: DemoCheck, text: string): boolean {
  const answer = text.split("</think>").at(-1)!.trim();
  if (check.exact !== undefined) return answer === check.exact;
  if (check.json !== undefined) return sameJson(answer, check.json);
  if (check.toolCall !== undefined) {
    const call = /^<tool_call>\n(.*)\n<\/tool_call>$/s.exec(answer);
    return call !== null && sameJson(call[1], check.toolCall);
  }
  const sentences = answer.split(/[.!?]"?(?:\s|$)/).filter(Boolean).length;
  const { mention = [], minSentences = 1 } = check;
  return sentences >= minSentences && mention.every((word) => answer.includes(word));
}

function sameJson(text: string, expected: unknown): boolean {
  try {
    return canonical(JSON.parse(text)) === canonical(expected);
  } catch {
    return false;
  }
}

/** Objects are equal whatever the order of their keys. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
