/**
 * The main process of the example: a chat in windows and an answer on the terminal, by one engine.
 *
 *   electron .                          a window
 *   electron . --prompt "Hello"         the answer, as lines of JSON on stdout; no window
 *   … --utility                         Dawn in a utility process, in place of the hidden window
 *   … --model M --device reference      another model; without a GPU
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { app, BrowserWindow, ipcMain, protocol } from "electron";
import { connectEngine, type RemoteOptions } from "weft-llm/worker";
import { appFiles } from "./app-files.ts";
import { GpuHost, hiddenWindow } from "./gpu-host.ts";
import { utilityHost } from "./utility-host.ts";

const BUILT = import.meta.dirname;
const MODELS = join(BUILT, "../../../assets");
const ORIGIN = "app://weft";
const preload = join(BUILT, "preload.cjs");

const { values } = parseArgs({
  // Electron and Chromium have options of their own.
  strict: false,
  options: {
    prompt: { type: "string" },
    utility: { type: "boolean" },
    model: { type: "string" },
    device: { type: "string" },
  },
});

const engineOptions = {
  model: values.model ?? (values.utility ? join(MODELS, "demo") : `${ORIGIN}/models/demo`),
  // The app's own files are on this disk already. Leave it out for models of servers, which are kept then.
  ...(values.model === undefined && { store: false }),
  ...(values.device && { device: values.device }),
} as RemoteOptions;

const host = new GpuHost(
  values.utility
    ? () => utilityHost(join(BUILT, "utility.js"))
    : () => hiddenWindow({ url: `${ORIGIN}/host.html`, preload }),
);

// An origin of the app's own: pages from file: have neither storage nor modules.
protocol.registerSchemesAsPrivileged([
  { scheme: "app", privileges: { standard: true, secure: true, supportFetchAPI: true } },
]);

ipcMain.handle("weft-engine-options", () => engineOptions);
ipcMain.handle("weft-ask-for-port", async ({ sender, senderFrame }) => {
  if (senderFrame?.origin !== ORIGIN) throw new Error("this page is not the app's own");
  sender.postMessage("weft-port", null, [await host.connect()]);
});

app.on("web-contents-created", (_, contents) => {
  contents.on("will-navigate", (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: "deny" }));
});
// Or a new hidden window would be opened in place of the one that closes.
app.on("before-quit", () => host.close());

app.whenReady().then(start).catch(fail);

async function start(): Promise<void> {
  protocol.handle("app", appFiles({ "/models/": MODELS, "/": BUILT }));
  if (typeof values.prompt === "string") return answer(values.prompt);
  const window = new BrowserWindow({ webPreferences: { preload } });
  // The hidden window would keep the app alive.
  window.on("closed", () => app.quit());
  await window.loadURL(`${ORIGIN}/window.html`);
}

/** The main process uses the engine like any window. */
async function answer(prompt: string): Promise<void> {
  const engine = await connectEngine({ ...engineOptions, connect: () => host.connect() });
  const messages = [{ role: "user", content: prompt }];
  const stream = await engine.chat.completions.create({ messages, stream: true, temperature: 0 });
  for await (const chunk of stream) console.log(JSON.stringify(chunk.choices[0].delta));
  await engine.close();
  app.quit();
}

function fail(error: unknown): void {
  console.error(error instanceof Error ? error.message : error);
  host.close();
  app.exit(1);
}
