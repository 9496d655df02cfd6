// The process of one subject: fresh, so that its start is cold and its memory its own. Answers one
// message at a time; measures nothing itself.

import { openPageHost } from "./page-host.mjs";
import { sessionOptions } from "./places.mjs";
import { nodeHost } from "./session-host.mjs";

/** @type {import("./session-host.mjs").SessionHost} */
let host;
let info = {};

/** @type {Record<string, (message: any) => Promise<unknown>>} */
const verbs = {
  async open({ subject, browser, logFile }) {
    host =
      subject.host === "node"
        ? nodeHost(logFile)
        : await openPageHost(browser, subject.engine === "weft");
  },
  async coldStart({ subject, load, prompt }) {
    const options = sessionOptions(subject, load);
    const started = await host.coldStart(subject.engine, options, prompt, load.genTokens);
    info = started.info;
    return started.cold;
  },
  ask: ({ prompts, genTokens }) => host.ask(prompts, genTokens),
  evidence: async () => ({ ...(await host.evidence()), info }),
  close: () => host.close(),
};

process.on("message", async (/** @type {any} */ { verb, ...message }) => {
  try {
    process.send?.({ result: await verbs[verb](message) });
  } catch (error) {
    console.error(error);
    process.send?.({ error: error instanceof Error ? error.message : String(error) });
  }
});
process.on("disconnect", () => process.exit(0));
