// Models that come with an app whose pages have a scheme of their own: Electron, browser extensions.

import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { createEngine } from "weft-llm";
import { appFiles } from "../../../apps/electron/app-files.ts";
import { refused } from "../../engine/ask.ts";

const OPTIONS = { device: "reference", maxRows: 4, maxTokensPerPlan: 64, store: false } as const;

afterEach(() => vi.unstubAllGlobals());

/** A page at `app://weft/`, and what its scheme answers. */
function inApp(): string[] {
  const asked: string[] = [];
  const handle = appFiles({ "/models/": join(import.meta.dirname, "../../../assets") });
  vi.stubGlobal("location", { protocol: "app:", href: "app://weft/host.html" });
  vi.stubGlobal("fetch", async (url: string, { headers }: RequestInit = {}) => {
    asked.push(url);
    return handle(new Request(url, { headers }));
  });
  return asked;
}

test("are loaded by it, range by range", async () => {
  const asked = inApp();
  const engine = await createEngine({ model: "app://weft/models/demo", ...OPTIONS });
  const { choices } = await engine.chat.completions.create({
    messages: [{ role: "user", content: "Sort these words: pear, wolf" }],
    temperature: 0,
  });
  expect(choices[0].message.content).toContain("Sorted: pear, wolf");
  await engine.close();
  expect(new Set(asked)).toContain("app://weft/models/demo/model.safetensors");
});

test("name their place in what goes wrong", async () => {
  inApp();
  const missing = createEngine({ model: "app://weft/models/none", ...OPTIONS });
  await refused(missing, "file_not_found", /app:\/\/weft\/models\/none\//);
  const foreign = createEngine({ model: "other://weft/models/demo", ...OPTIONS });
  await refused(foreign, "bad_request", /unknown scheme/);
});
