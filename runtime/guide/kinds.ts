/** All guides there are; they come with the first request that needs one. */
export { GrammarGuide } from "./grammar-guide.ts";
export { Guided } from "./guided.ts";
export { ThinkingGuide } from "./thinking-guide.ts";
