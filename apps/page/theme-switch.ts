/** `<weft-theme>`: light, dark, or as the system has it; remembered for the next visit. */
import { make, options } from "./make.ts";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "weft-theme";

export class ThemeSwitch extends HTMLElement {
  onChange: () => void = () => {};
  readonly #select = make(
    "select",
    { name: "theme" },
    ...options(THEMES.map((name) => [name, name])),
  );

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    this.append(make("label", {}, "Theme ", this.#select));
    this.#select.addEventListener("change", () => this.set(this.#select.value as Theme, true));
    const asked = new URLSearchParams(location.search).get("theme") ?? remembered();
    this.set(THEMES.find((theme) => theme === asked) ?? "system");
  }

  set(theme: Theme, remember = false): void {
    this.#select.value = theme;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    this.onChange();
    if (!remember) return;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage may be refused; the theme then lasts as long as the page.
    }
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

customElements.define("weft-theme", ThemeSwitch);
