/**
 * Watches the page that an engine works for: whether it is seen, hidden or frozen, and how many frames
 * it drops while the engine works. Tells whoever paces the engine; without a document it tells nothing.
 *
 * @see Page Lifecycle API, WICG: freeze, resume; HTML: pagehide and pageshow of the back-forward cache.
 */
import { FrameMeter, type FrameMetrics } from "./frame-meter.ts";
import type { PageState } from "./page-state.ts";

const REPORT_MS = 250;

export class PageWatcher {
  readonly #onState: (state: PageState) => void;
  readonly #frames = new FrameMeter();
  readonly #unlisten: (() => void)[] = [];
  #isFrozen = false;
  #isBusy = false;
  #frame: number | undefined;
  #reportedMs = 0;

  constructor(onState: (state: PageState) => void) {
    this.#onState = onState;
    if (typeof document === "undefined") return;
    this.#listen(document, "visibilitychange", () => this.#tell());
    const freeze = (frozen: boolean) => () => {
      this.#isFrozen = frozen;
      this.#tell();
    };
    this.#listen(document, "freeze", freeze(true));
    this.#listen(document, "resume", freeze(false));
    // A page in the back-forward cache is frozen too, and some browsers say it this way alone.
    this.#listen(globalThis, "pagehide", freeze(true));
    this.#listen(globalThis, "pageshow", freeze(false));
    this.#tell();
  }

  /** Frames count while the engine works. */
  set busy(isBusy: boolean) {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    this.#frames.pause();
    if (isBusy) this.#next();
  }

  /** Undefined where there are no frames. */
  get metrics(): FrameMetrics | undefined {
    return typeof requestAnimationFrame === "undefined" ? undefined : this.#frames.metrics;
  }

  stop(): void {
    this.#isBusy = false;
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    for (const unlisten of this.#unlisten) unlisten();
  }

  #next(): void {
    if (typeof requestAnimationFrame === "undefined" || this.#frame !== undefined) return;
    this.#frame = requestAnimationFrame((nowMs) => {
      this.#frame = undefined;
      if (!this.#isBusy) return;
      this.#frames.frame(nowMs);
      if (nowMs - this.#reportedMs >= REPORT_MS) {
        this.#reportedMs = nowMs;
        this.#tell();
      }
      this.#next();
    });
  }

  #tell(): void {
    const visibility = this.#isFrozen ? "frozen" : document.visibilityState;
    // A hidden page gets no frames, and the gap is none of the engine's.
    if (visibility !== "visible") this.#frames.pause();
    this.#onState({ visibility, frames: this.#frames.report() });
  }

  #listen(target: EventTarget, type: string, listener: () => void): void {
    target.addEventListener(type, listener);
    this.#unlisten.push(() => target.removeEventListener(type, listener));
  }
}
