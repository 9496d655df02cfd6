/** `<weft-kv-map>`: every block of the KV cache as a cell that says whose it is. */
import type { KvGroupMap } from "../../worker.ts";
import { clearCanvas, paletteOf } from "./canvas.ts";
import { type KvPicture, kvPicture } from "./kv-picture.ts";
import { shortLabel } from "./labels.ts";
import { make } from "./make.ts";
import type { LiveState, LiveView } from "./monitor.ts";
import { count } from "./quantities.ts";

const MOST_HEIGHT = 168;
const LARGEST = 20;
const SMALLEST = 3;
/** A letter needs so much room. */
const LEGIBLE = 11;

export class KvMapView extends HTMLElement implements LiveView {
  readonly #summary = make("output", {}, "–");
  readonly #maps = make("div");
  readonly #holders = make("ul", { class: "holders", "aria-label": "Blocks by conversation" });
  #state: LiveState | undefined;

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    this.append(
      make(
        "figure",
        {},
        make("figcaption", {}, make("h3", {}, "KV blocks"), this.#summary),
        this.#maps,
        make(
          "ul",
          { class: "legend", "aria-label": "Legend" },
          make("li", { class: "key-held" }, "one request's, by letter"),
          make("li", { class: "key-shared" }, "shared"),
          make("li", { class: "key-cached" }, "free, prefix kept"),
          make("li", { class: "key-free" }, "free"),
        ),
        this.#holders,
      ),
    );
    new ResizeObserver(() => this.show(this.#state)).observe(this.#maps);
  }

  show(state: LiveState | undefined): void {
    this.#state = state;
    const groups = state?.map.groups ?? [];
    while (this.#maps.childElementCount > groups.length) this.#maps.lastElementChild!.remove();
    while (this.#maps.childElementCount < groups.length) {
      const index = this.#maps.childElementCount;
      const canvas = make("canvas", { role: "img" });
      canvas.addEventListener("pointermove", (event) => {
        canvas.title = this.#cellTitle(index, event);
      });
      this.#maps.append(canvas);
    }
    const pictures = groups.map(kvPicture);
    const clients = state?.clients ?? new Map<number, string>();
    for (const [i, picture] of pictures.entries()) {
      const canvas = this.#maps.children[i] as HTMLCanvasElement;
      canvas.setAttribute("aria-label", describe(groups[i], picture));
      this.#draw(canvas, picture, clients);
    }
    const tokens = state?.map.blockTokens ?? 0;
    const [first] = pictures;
    this.#summary.textContent = first
      ? `${first.held + first.shared} of ${first.cells.length} in use, ${tokens} tokens each`
      : "–";
    this.#holders.replaceChildren(...(first ? holderItems(first, clients) : []));
  }

  /** For a pointer; the list below says the same. */
  #cellTitle(group: number, { offsetX, offsetY }: PointerEvent): string {
    const state = this.#state;
    if (!state) return "";
    const { cells } = kvPicture(state.map.groups[group]);
    const { size, columns } = grid(this.#maps.clientWidth, cells.length);
    const column = Math.floor(offsetX / size);
    const index = Math.floor(offsetY / size) * columns + column;
    if (column >= columns || index >= cells.length) return "";
    const cell = cells[index];
    const block = `block ${index + 1}`;
    if (!("owner" in cell))
      return `${block}: ${cell.kind === "free" ? "free" : "free, prefix kept"}`;
    const owner = `request ${cell.owner} of ${state.clients.get(cell.owner) ?? "nobody known"}`;
    return cell.kind === "shared"
      ? `${block}: ${owner}, held ${cell.holders} times`
      : `${block}: ${owner}`;
  }

  #draw(
    canvas: HTMLCanvasElement,
    { cells }: KvPicture,
    clients: ReadonlyMap<number, string>,
  ): void {
    const width = this.#maps.clientWidth;
    if (width === 0) return;
    const { size, columns } = grid(width, cells.length);
    const height = Math.ceil(cells.length / columns) * size;
    const context = clearCanvas(canvas, width, height);
    const { accent, onAccent, line, text, back } = paletteOf(this);
    const gap = size > 6 ? 2 : 1;
    context.font = `600 ${Math.min(11, size - 6)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [i, cell] of cells.entries()) {
      const x = (i % columns) * size;
      const y = Math.floor(i / columns) * size;
      const side = size - gap;
      if (!("owner" in cell)) {
        context.fillStyle = cell.kind === "free" ? line : accent;
        context.globalAlpha = cell.kind === "free" ? 0.55 : 0.28;
        context.fillRect(x, y, side, side);
        context.globalAlpha = 1;
        continue;
      }
      context.fillStyle = cell.kind === "shared" ? text : accent;
      context.fillRect(x, y, side, side);
      if (size < LEGIBLE) continue;
      context.fillStyle = cell.kind === "shared" ? back : onAccent;
      const client = clients.get(cell.owner);
      const label = cell.kind === "shared" ? `${cell.holders}×` : client ? shortLabel(client) : "";
      context.fillText(label, x + side / 2, y + side / 2 + 0.5);
    }
  }
}

/** Cells as large as fit. */
function grid(width: number, numCells: number): { size: number; columns: number } {
  const room = Math.floor(Math.sqrt((width * MOST_HEIGHT) / numCells));
  const size = Math.max(SMALLEST, Math.min(LARGEST, room));
  return { size, columns: Math.floor((width + 1) / size) };
}

function describe({ kind }: KvGroupMap, { cells, free, cached, held, shared }: KvPicture): string {
  return (
    `Map of ${count(cells.length, "KV block")} (${kind} attention): ${held} held by one request, ` +
    `${shared} shared, ${cached} free with a prefix kept, ${free} free`
  );
}

/** In the order of their names; those of one conversation together. */
function holderItems({ byOwner }: KvPicture, clients: ReadonlyMap<number, string>): HTMLElement[] {
  const blocks = new Map<string, number>();
  for (const [owner, number] of byOwner) {
    const client = clients.get(owner) ?? `request ${owner}`;
    blocks.set(client, (blocks.get(client) ?? 0) + number);
  }
  return [...blocks]
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([client, number]) => make("li", {}, make("b", {}, client), ` ${number}`));
}

customElements.define("weft-kv-map", KvMapView);
