/** Formats by name; each is downloaded when a model needs it. */
import type { ChatFormat, ChatFormatName } from "./chat-format.ts";

const FORMATS: Readonly<Record<ChatFormatName, () => Promise<ChatFormat>>> = {
  plain: async () => (await import("./plain.ts")).format,
  think: async () => (await import("./think.ts")).format,
  hermes: async () => (await import("./hermes.ts")).format,
  qwen3: async () => (await import("./qwen3.ts")).format,
  "qwen3-coder": async () => (await import("./qwen3-coder.ts")).format,
  llama3: async () => (await import("./llama3.ts")).format,
  mistral: async () => (await import("./mistral.ts")).mistralFormats.mistral,
  "mistral-v11": async () => (await import("./mistral.ts")).mistralFormats["mistral-v11"],
  magistral: async () => (await import("./mistral.ts")).mistralFormats.magistral,
  "gpt-oss": async () => (await import("./gpt-oss.ts")).format,
};

export const loadChatFormat = (name: ChatFormatName): Promise<ChatFormat> => FORMATS[name]();
