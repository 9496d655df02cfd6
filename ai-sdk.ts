/** The public door for the AI SDK: an engine as a provider of its models. */
export { type WeftProvider, weft } from "./apps/ai-sdk/provider.ts";
