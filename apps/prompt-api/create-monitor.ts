/** Tells a page how far a model has come, as the Prompt API does: from 0 to 1. */
import type { LoadProgress } from "../../worker.ts";

export interface DownloadProgressEvent extends Event {
  readonly loaded: number;
  readonly total: number;
}

export class CreateMonitor extends EventTarget {
  ondownloadprogress: ((this: CreateMonitor, event: DownloadProgressEvent) => unknown) | null =
    null;
  #loaded = -1;

  constructor() {
    super();
    this.addEventListener("downloadprogress", (event) => this.ondownloadprogress?.(event));
  }

  override addEventListener(
    type: "downloadprogress",
    listener: (this: CreateMonitor, event: DownloadProgressEvent) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(...listening: Parameters<EventTarget["addEventListener"]>): void;
  override addEventListener(type: string, listener: unknown, options?: never): void {
    super.addEventListener(type, listener as EventListener, options);
  }

  /** What comes from the store alone is there already. */
  report({ phase, loadedBytes, totalBytes }: LoadProgress): void {
    if (phase === "download" && totalBytes > 0) this.tell(Math.min(1, loadedBytes / totalBytes));
  }

  /** Only ever forward. */
  tell(loaded: number): void {
    if (loaded <= this.#loaded) return;
    this.#loaded = loaded;
    const event = new Event("downloadprogress");
    this.dispatchEvent(Object.assign(event, { loaded, total: 1, lengthComputable: true }));
  }
}
