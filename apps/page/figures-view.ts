/** `<weft-figures>`: the engine's counters in one line of terms. */
import { make } from "./make.ts";
import type { LiveState, LiveView } from "./monitor.ts";
import { duration, percent } from "./quantities.ts";

type Term = readonly [name: string, of: (state: LiveState) => string, title: string];

const TERMS: readonly Term[] = [
  ["running", ({ metrics }) => `${metrics.now.running}`, "requests that share the steps now"],
  ["waiting", ({ metrics }) => `${metrics.now.waiting}`, "requests that have not begun"],
  ["finished", ({ metrics }) => whole(metrics.total.finished), "requests, since the engine began"],
  [
    "tokens",
    ({ metrics }) => whole(metrics.total.sampledTokens),
    "of answers, since the engine began",
  ],
  [
    "preempted",
    ({ metrics }) => whole(metrics.total.preemptions),
    "times that a request gave way and resumed",
  ],
  [
    "prefix hits",
    ({ metrics }) => percent(hitShare(metrics.total)),
    "of prompt tokens found in the prefix cache",
  ],
  [
    "first token",
    ({ metrics }) => time(metrics.recent.requests.overall.ttftMs),
    "median from arrival to first token, of the latest requests",
  ],
  [
    "gap p99",
    ({ metrics }) =>
      time({
        ...metrics.recent.requests.overall.itlMs,
        p50: metrics.recent.requests.overall.itlMs.p99,
      }),
    "99 % of the gaps between tokens are shorter",
  ],
  ["submission", ({ metrics }) => time(metrics.recent.submissionMs), "median GPU time"],
  [
    "quantum",
    ({ metrics: { now } }) => (now.quantumMs === undefined ? "none" : duration(now.quantumMs)),
    "what a submission may take; it follows the page's frames",
  ],
  [
    "frame p95",
    ({ metrics: { frames } }) => (frames?.intervalMs.n ? duration(frames.intervalMs.p95) : "–"),
    "between frames of this page, while the engine works for it",
  ],
  [
    "dropped",
    ({ metrics: { frames } }) => (frames ? percent(droppedShare(frames)) : "–"),
    "frames of this page that were not shown in time",
  ],
];

const whole = (n: number): string => n.toLocaleString("en");
const time = ({ n, p50 }: { readonly n: number; readonly p50: number }): string =>
  n === 0 ? "–" : duration(p50);

const droppedShare = ({ count, dropped }: { readonly count: number; readonly dropped: number }) =>
  dropped === 0 ? 0 : dropped / (count + dropped);

function hitShare({ prefixHitTokens, computedTokens }: LiveState["metrics"]["total"]): number {
  const all = prefixHitTokens + computedTokens;
  return all === 0 ? 0 : prefixHitTokens / all;
}

export class FiguresView extends HTMLElement implements LiveView {
  readonly #values = TERMS.map(() => make("dd", {}, "–"));

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const terms = TERMS.map(([name, , title], i) =>
      make("div", { title }, make("dt", {}, name), this.#values[i]),
    );
    this.append(make("dl", { class: "figures" }, ...terms));
  }

  show(state: LiveState | undefined): void {
    for (const [i, [, of]] of TERMS.entries())
      this.#values[i].textContent = state ? of(state) : "–";
  }
}

customElements.define("weft-figures", FiguresView);
