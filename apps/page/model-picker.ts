/** `<weft-model-picker>`: which model, how it runs, and how far its download is. Opens nothing itself. */
import type { LoadProgress } from "../../index.ts";
import type { EngineChoice } from "./engine.ts";
import { make, options } from "./make.ts";
import { MODELS } from "./models.ts";
import { bytes, duration } from "./quantities.ts";

/** What was chosen, and the key of an offered model. */
export interface PickedModel {
  readonly key: string;
  readonly name: string;
  readonly choice: EngineChoice;
}

const PHASES: Readonly<Record<LoadProgress["phase"], string>> = {
  download: "downloading",
  verify: "comparing hashes",
  load: "to the device",
};
const OTHER = "other";
const FILE = "file";
const DEFAULT_ROWS = "8";

export class ModelPicker extends HTMLElement {
  /** @returns Whether it could be loaded. */
  onPick: (picked: PickedModel) => Promise<boolean> = async () => false;
  onCancel: () => void = () => {};
  readonly #model = make(
    "select",
    { name: "model" },
    ...options([
      ...MODELS.map(({ key, name }) => [key, name] as const),
      [OTHER, "Another address …"],
      [FILE, "GGUF file …"],
    ]),
  );
  readonly #address = make("input", {
    name: "address",
    size: 34,
    placeholder: "https://… or hf:org/name",
  });
  readonly #file = make("input", { name: "file", type: "file", accept: ".gguf" });
  readonly #addressLabel = make("label", { hidden: true }, "Address ", this.#address);
  readonly #fileLabel = make("label", { hidden: true }, "File ", this.#file);
  readonly #device = make(
    "select",
    { name: "device" },
    ...options([
      ["gpu", "GPU"],
      ["reference", "CPU, slow"],
    ]),
  );
  readonly #place = make(
    "select",
    { name: "place" },
    ...options([
      ["own", "this tab"],
      ["shared", "all tabs"],
    ]),
  );
  readonly #rows = make(
    "select",
    { name: "rows" },
    ...options(["1", "2", "4", "8", "16"].map((n) => [n, n])),
  );
  readonly #memory = make("input", { name: "memory", type: "number", min: 1, step: 1 });
  readonly #button = make("button", { type: "submit" }, "Load");
  readonly #bar = make("progress", { "aria-label": "Download", max: 1, value: 0 });
  readonly #status = make("span", { class: "status" });
  #isLoading = false;

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const form = make(
      "form",
      { class: "picker", "aria-label": "Model" },
      ...[make("label", {}, "Model ", this.#model), this.#addressLabel, this.#fileLabel],
      make("label", {}, "On ", this.#device),
      make(
        "label",
        { title: "one copy of the model for all tabs, or one for this tab" },
        "For ",
        this.#place,
      ),
      make("label", { title: "requests that share the steps" }, "At once ", this.#rows),
      make(
        "label",
        { title: "weights, activations and KV cache; empty: the engine's own measure" },
        "Memory, MB ",
        this.#memory,
      ),
      this.#button,
      make("span", { class: "progress" }, this.#bar, this.#status),
    );
    this.append(form);
    this.#rows.value = DEFAULT_ROWS;
    this.#bar.hidden = true;
    this.#model.addEventListener("change", () => this.#showFields());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#isLoading) this.onCancel();
      else void this.pick();
    });
    this.#showFields();
  }

  /** As the form stands; says so where something is missing. */
  async pick(): Promise<boolean> {
    const picked = this.#picked();
    if (typeof picked !== "string") return this.onPick(picked);
    this.fail(picked);
    return false;
  }

  begin(): void {
    this.#isLoading = true;
    this.#button.textContent = "Cancel";
    this.#bar.hidden = false;
    this.#bar.removeAttribute("value");
    this.#set("reading headers");
  }

  progress({ phase, loadedBytes, totalBytes, bytesPerSecond, secondsLeft }: LoadProgress): void {
    const isLoaded = phase === "load" && loadedBytes >= totalBytes;
    if (isLoaded) this.#bar.removeAttribute("value");
    else this.#bar.value = loadedBytes / totalBytes;
    this.#set(
      isLoaded
        ? `${bytes(totalBytes)} loaded; compiling and testing kernels`
        : [
            `${PHASES[phase]} ${bytes(loadedBytes)} of ${bytes(totalBytes)}`,
            bytesPerSecond > 0 ? `${bytes(bytesPerSecond)}/s` : "",
            secondsLeft === undefined ? "" : `${duration(1000 * secondsLeft)} left`,
          ]
            .filter(Boolean)
            .join(", "),
    );
  }

  ready(text: string): void {
    this.#end(text);
  }

  fail(message: string): void {
    this.#end(message, true);
  }

  #end(text: string, isProblem = false): void {
    this.#isLoading = false;
    this.#button.textContent = "Load";
    this.#bar.hidden = true;
    this.#set(text, isProblem);
  }

  #set(text: string, isProblem = false): void {
    this.#status.textContent = text;
    this.#status.classList.toggle("problem", isProblem);
  }

  #showFields(): void {
    const key = this.#model.value;
    this.#addressLabel.hidden = key !== OTHER;
    this.#fileLabel.hidden = key !== FILE;
    const budget = MODELS.find((model) => model.key === key)?.memoryBudgetBytes;
    this.#memory.value = budget === undefined ? "" : `${budget / 1e6}`;
  }

  #picked(): PickedModel | string {
    const key = this.#model.value;
    const memory = Number(this.#memory.value);
    const rest = {
      device: this.#device.value as EngineChoice["device"],
      shared: this.#place.value === "shared",
      maxRows: Number(this.#rows.value),
      ...(memory > 0 && { memoryBudgetBytes: 1e6 * memory }),
    };
    const offered = MODELS.find((model) => model.key === key);
    if (offered) {
      const model = new URL(offered.path, location.href).href;
      return { key, name: offered.name, choice: { model, ...rest } };
    }
    if (key === FILE) {
      const file = this.#file.files?.[0];
      return file
        ? { key, name: file.name, choice: { model: file, ...rest } }
        : "choose a .gguf file first";
    }
    const model = this.#address.value.trim();
    return model === ""
      ? "write the model's address first"
      : { key, name: model, choice: { model, ...rest } };
  }
}

customElements.define("weft-model-picker", ModelPicker);
