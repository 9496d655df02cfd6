/** Text completions of an engine, whose code comes with the first request: chat needs none of it. */
import type { ChatHost } from "./chat.ts";
import type { CompletionsApi } from "./completions.ts";

export type { CompletionsApi };

export const completionsApi = (engine: ChatHost): CompletionsApi => {
  const create = async (...[request, options]: Parameters<CompletionsApi["create"]>) => {
    const { completionsOver, streamCompletions } = await import("./completions.ts");
    const api = completionsOver((asked, how) => streamCompletions(engine, asked, how));
    return api.create(request, options);
  };
  return { create: create as CompletionsApi["create"] };
};
