/**
 * For templates that know one call per message: of a message with several, each becomes a message of
 * its own, with its result behind it where the results name their calls.
 */
import type { TemplateMessage } from "./template-message.ts";

export function oneCallPerMessage(messages: readonly TemplateMessage[]): TemplateMessage[] {
  const split: TemplateMessage[] = [];
  const moved = new Set<TemplateMessage>();
  messages.forEach((message, at) => {
    if (moved.has(message)) return;
    const { tool_calls: calls = [] } = message;
    if (calls.length < 2) {
      split.push(message);
      return;
    }
    calls.forEach((call, i) => {
      // What was said and thought belongs to the first.
      const said = i === 0 ? message : { role: message.role, content: "" };
      split.push({ ...said, tool_calls: [call] });
      const result = messages
        .slice(at + 1)
        .find(
          ({ role, tool_call_id: id }) => role === "tool" && id !== undefined && id === call.id,
        );
      if (!result || moved.has(result)) return;
      moved.add(result);
      split.push(result);
    });
  });
  return split;
}
