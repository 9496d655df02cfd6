/** Passes ports from the main process into the page, for the hidden window and for the app's own. */
import { contextBridge, ipcRenderer } from "electron";
import type { Bridge } from "./bridge.ts";

// The bridge between the worlds carries no ports; messages of the window, which both hear, do.
ipcRenderer.on("weft-port", ({ ports }) => window.postMessage("weft-port", "*", ports));

contextBridge.exposeInMainWorld("weft", {
  engineOptions: () => ipcRenderer.invoke("weft-engine-options"),
  askForPort: () => ipcRenderer.invoke("weft-ask-for-port"),
} satisfies Bridge);
