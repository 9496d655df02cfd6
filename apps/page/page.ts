/** The page's own door: starts it with the real engine; with `?ask` in the address it asks by itself. */
import { openEngine } from "./engine.ts";
import { SUGGESTIONS } from "./models.ts";
import { WeftPage } from "./weft-page.ts";

const page = new WeftPage();
page.open = openEngine;
document.body.append(page);

/** For whoever drives the page: the GPU is full of stories when two people come and ask. */
async function askByItself(): Promise<void> {
  const [a, b] = page.board.conversations;
  page.board.setLoad(8);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await Promise.any([a.ask(SUGGESTIONS[0].text), b.ask(SUGGESTIONS[1].text)]);
  Object.assign(globalThis, { pageAnswered: true });
}

const isLoaded = await page.picker.pick();
if (!isLoaded) Object.assign(globalThis, { pageError: page.picker.textContent });
else if (new URLSearchParams(location.search).has("ask")) await askByItself();
