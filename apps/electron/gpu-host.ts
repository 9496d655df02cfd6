/**
 * Where the engines of an app run: one process for all its windows, started when somebody connects, and again
 * when it is gone. Owns the process and hands out ports to it; knows no engine.
 *
 * The process is a hidden window, whose page is host-page.ts: it has the WebGPU of Electron's own Chromium.
 */
import { BrowserWindow, MessageChannelMain, type MessagePortMain } from "electron";
import { WeftError } from "weft-llm/worker";

/** A process that makes itself the host of engines on every port that it is sent. */
export interface HostProcess {
  /** Throws if it cannot be reached. */
  send(port: MessagePortMain): void;
  /** It serves nobody any more, and why. */
  readonly gone: Promise<string>;
  close(): void;
}

export class GpuHost {
  readonly #start: () => Promise<HostProcess>;
  #process: Promise<HostProcess> | undefined;
  #isClosed = false;

  /** @param start Another process: `hiddenWindow` or `utilityHost`. */
  constructor(start: () => Promise<HostProcess>) {
    this.#start = start;
  }

  /**
   * What `connectEngine` calls, and calls again when the host is gone. For a window: send it the port.
   * @throws {WeftError} `worker_failed` when the process does not start; `engine_closed`.
   */
  async connect(): Promise<MessagePortMain> {
    if (this.#isClosed) throw new WeftError("engine_closed", "the app quits; start it again");
    this.#process ??= this.#launch();
    const running = this.#process;
    try {
      const host = await running;
      const { port1, port2 } = new MessageChannelMain();
      host.send(port2);
      return port1;
    } catch (cause) {
      this.#forget(running);
      end(running);
      const why = cause instanceof Error ? cause.message : cause;
      const message = `the process of the engines cannot be reached: ${why}`;
      throw new WeftError("worker_failed", message, { cause });
    }
  }

  /** Ends the process, and with it what its engines still do. Call it before the app quits. */
  close(): void {
    this.#isClosed = true;
    if (this.#process) end(this.#process);
  }

  #launch(): Promise<HostProcess> {
    const started = this.#start();
    const forget = () => this.#forget(started);
    started.then((host) => host.gone).then(forget, forget);
    return started;
  }

  #forget(host: Promise<HostProcess>): void {
    if (this.#process === host) this.#process = undefined;
  }
}

/** One that did not start has ended. */
function end(started: Promise<HostProcess>): void {
  started.then((host) => host.close()).catch(() => {});
}

export interface HiddenWindowOptions {
  /** Of host.html, in a scheme that is secure and has an origin: `https:`, or the app's own. */
  readonly url: string;
  /** Path of the built preload.ts. */
  readonly preload: string;
}

/** Resolves when the page listens. */
export async function hiddenWindow({ url, preload }: HiddenWindowOptions): Promise<HostProcess> {
  const window = new BrowserWindow({
    show: false,
    webPreferences: {
      preload,
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      // A window that nobody sees is slowed down otherwise.
      backgroundThrottling: false,
    },
  });
  const { webContents } = window;
  const gone = new Promise<string>((resolve) => {
    window.on("closed", () => resolve("its window was closed"));
    webContents.on("render-process-gone", (_, { reason }) =>
      resolve(`its process has ended: ${reason}`),
    );
    // Its ports are cut only when it has ended.
    webContents.on("unresponsive", () => webContents.forcefullyCrashRenderer());
  });
  const close = () => {
    if (!window.isDestroyed()) window.destroy();
  };
  void gone.then(close);
  const failed = gone.then((why) => Promise.reject(new Error(why)));
  try {
    await Promise.race([window.loadURL(url), failed]);
  } catch (error) {
    close();
    throw error;
  } finally {
    // Later it is no failure.
    failed.catch(() => {});
  }
  return { gone, close, send: (port) => webContents.postMessage("weft-port", null, [port]) };
}
