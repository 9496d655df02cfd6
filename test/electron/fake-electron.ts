// What the example uses of Electron's main process, without Electron: windows and processes that serve engines
// in this thread, and can crash. As in Electron's documentation.

import { EventEmitter } from "node:events";
import { hostEngines } from "weft-llm/node";
import { electronChannel, type PortMain } from "../runtime/remote/electron-ports.ts";

/** Latest last, those that are gone too. */
export const windows: BrowserWindow[] = [];
export const children: Child[] = [];

/** What the next window's page does when it is loaded. */
export const nextLoad: { fail?: (window: BrowserWindow) => Promise<void> } = {};

export class MessageChannelMain {
  readonly port1: PortMain;
  readonly port2: PortMain;

  constructor() {
    ({ port1: this.port1, port2: this.port2 } = electronChannel());
  }
}

class WebContents extends EventEmitter {
  readonly #window: BrowserWindow;
  readonly #ports: MessagePort[] = [];

  constructor(window: BrowserWindow) {
    super();
    this.#window = window;
  }

  /** The page's preload and host-page.ts, in short. */
  postMessage(channel: string, _: unknown, ports: readonly PortMain[]): void {
    if (this.#window.isDestroyed()) throw new TypeError("Object has been destroyed");
    if (channel !== "weft-port" || !this.#window.isLoaded) return;
    for (const port of ports.map((port) => port.inRenderer())) {
      this.#ports.push(port);
      hostEngines(port);
    }
  }

  forcefullyCrashRenderer(reason = "killed"): void {
    this.cutPorts();
    this.emit("render-process-gone", {}, { reason, exitCode: 1 });
  }

  cutPorts(): void {
    for (const port of this.#ports) port.close();
  }
}

export class BrowserWindow extends EventEmitter {
  readonly webContents = new WebContents(this);
  readonly options: { show?: boolean; webPreferences?: object };
  isLoaded = false;
  #isDestroyed = false;

  constructor(options: BrowserWindow["options"]) {
    super();
    this.options = options;
    windows.push(this);
  }

  async loadURL(_: string): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { fail } = nextLoad;
    delete nextLoad.fail;
    await fail?.(this);
    this.isLoaded = true;
  }

  isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  destroy(): void {
    if (this.#isDestroyed) throw new TypeError("Object has been destroyed");
    this.#isDestroyed = true;
    this.webContents.cutPorts();
    this.emit("closed");
  }
}

/** In a utility process; here all of them are this one, which runs the script once. */
const parentPort = new EventEmitter();
Object.assign(process, { parentPort });
await import("../../apps/electron/utility.ts");

class Child extends EventEmitter {
  readonly #ports: PortMain[] = [];
  readonly script: string;
  exitCode: number | undefined;

  constructor(script: string) {
    super();
    this.script = script;
    setTimeout(() => this.emit("spawn"), 5);
  }

  postMessage(data: unknown, ports: readonly PortMain[]): void {
    this.#ports.push(...ports);
    parentPort.emit("message", { data, ports });
  }

  kill(): boolean {
    this.end(0);
    return true;
  }

  end(code: number): void {
    for (const port of this.#ports) port.close();
    this.exitCode = code;
    this.emit("exit", code);
  }
}

export const utilityProcess = {
  fork(script: string): Child {
    children.push(new Child(script));
    return children.at(-1)!;
  },
};

/** What the main process has asked of Electron, and tests of it. */
class App extends EventEmitter {
  readonly quitted: Promise<void>;
  #quit = () => {};

  constructor() {
    super();
    this.quitted = new Promise((resolve) => {
      this.#quit = resolve;
    });
  }

  whenReady(): Promise<void> {
    return Promise.resolve();
  }

  quit(): void {
    this.emit("before-quit");
    this.#quit();
  }

  exit(code: number): void {
    throw new Error(`exit ${code}`);
  }
}

export const app = new App();

type Handler = (event: object, ...args: unknown[]) => unknown;

export const ipcMain = {
  handlers: new Map<string, Handler>(),
  handle(channel: string, handler: Handler) {
    this.handlers.set(channel, handler);
  },
};

export const protocol = {
  schemes: [] as readonly { scheme: string; privileges: object }[],
  handlers: new Map<string, (request: Request) => Promise<Response>>(),
  registerSchemesAsPrivileged(schemes: typeof this.schemes) {
    this.schemes = schemes;
  },
  handle(scheme: string, handler: (request: Request) => Promise<Response>) {
    this.handlers.set(scheme, handler);
  },
};
