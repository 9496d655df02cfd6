/** What `npm run demo` asks the demo model, which knows stories of this form and few others. */
export const DEMO_PROMPT = "Tell me a story about a fox named Lily.";
