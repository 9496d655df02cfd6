/** Says things to screen readers, politely: one at a time, never token by token. */
import { make } from "./make.ts";

export class Announcer {
  readonly element = make("div", { class: "hidden-text", role: "status", "aria-live": "polite" });

  say(text: string): void {
    // The same words again are a change only if something else stood there.
    this.element.textContent = this.element.textContent === text ? `${text}\u00a0` : text;
  }
}
