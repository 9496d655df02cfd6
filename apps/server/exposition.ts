/** Prometheus' text format, version 0.0.4: families of samples, each with its help and type. Knows no metric. */

export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = Readonly<Record<string, string | number>>;

export class Exposition {
  readonly #lines: string[] = [];

  /** @param name Of a counter it ends in `_total`. */
  family(
    type: "counter" | "gauge",
    name: string,
    help: string,
    samples: Iterable<readonly [Labels, number]>,
  ): void {
    const all = [...samples];
    if (all.length === 0) return;
    this.#head(type, name, help);
    for (const [labels, value] of all) this.#sample(name, labels, value);
  }

  histogram(name: string, help: string, histograms: Iterable<readonly [Labels, Histogram]>): void {
    const all = [...histograms];
    if (all.length === 0) return;
    this.#head("histogram", name, help);
    for (const [labels, { bounds, counts, sum }] of all) {
      let count = 0;
      for (const [i, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
        count += counts[i];
        this.#sample(`${name}_bucket`, { ...labels, le: written(bound) }, count);
      }
      this.#sample(`${name}_sum`, labels, sum);
      this.#sample(`${name}_count`, labels, count);
    }
  }

  get text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #head(type: string, name: string, help: string): void {
    const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    this.#lines.push(`# HELP ${name} ${escaped}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${quoted(`${text}`)}"`);
    const set = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
    this.#lines.push(`${name}${set} ${written(value)}`);
  }
}

export class Histogram {
  /** Upper ends of the buckets, ascending. */
  readonly bounds: readonly number[];
  /** Of each bucket alone; the last has what is above all bounds. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    this.counts[bucket < 0 ? this.bounds.length : bucket] += 1;
    this.sum += value;
  }
}

const quoted = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');

const written = (value: number): string =>
  Number.isFinite(value) ? `${value}` : Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
