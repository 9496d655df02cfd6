/** `<weft-stored>`: models that this browser keeps, and a way to be rid of them. */
import { type ModelStore, modelStore } from "../../index.ts";
import type { Announcer } from "./announcer.ts";
import { make } from "./make.ts";
import { bytes, count } from "./quantities.ts";

/** What the view needs of `modelStore()`. */
export type StoredList = Pick<ModelStore, "list" | "remove">;

export class StoredModels extends HTMLElement {
  announcer!: Announcer;
  store: StoredList = modelStore();
  readonly #summary = make("summary", {}, "");
  readonly #list = make("ul");

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    this.hidden = true;
    this.append(make("details", {}, this.#summary, this.#list));
  }

  /** Asks anew. Nothing is shown where nothing can be kept. */
  async refresh(): Promise<void> {
    const models = await this.store.list().catch(() => []);
    const sized = models.map(({ model, location, versions, partialBytes }) => ({
      ...{ model, location, versions: versions.length },
      sizeBytes: versions.reduce((sum, { sizeBytes }) => sum + sizeBytes, partialBytes),
    }));
    this.hidden = sized.length === 0;
    const all = sized.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#summary.textContent = `${count(sized.length, "model")} stored, ${bytes(all)}`;
    this.#list.replaceChildren(
      ...sized.map(({ model, location, versions, sizeBytes }) => {
        const button = make("button", { type: "button" }, "Delete");
        button.setAttribute("aria-label", `Delete ${model}`);
        button.addEventListener("click", () => void this.#remove(location, model));
        const size =
          versions > 1 ? `${bytes(sizeBytes)} in ${versions} versions` : bytes(sizeBytes);
        return make("li", {}, make("span", {}, model), ` ${size} `, button);
      }),
    );
  }

  /** One that runs goes on with what it has read. */
  async #remove(location: string, model: string): Promise<void> {
    try {
      await this.store.remove(location);
      this.announcer.say(`${model} is deleted`);
    } catch (error) {
      this.announcer.say(`${model}: ${error instanceof Error ? error.message : error}`);
    }
    await this.refresh();
    this.#summary.focus();
  }
}

customElements.define("weft-stored", StoredModels);
