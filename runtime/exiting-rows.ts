/**
 * Runs layers that tokens may leave off before, each where it is sure of what comes next. All of it is
 * recorded at once: rows that have left keep what they were, keys and values of the layers behind are made
 * of that, and once all have left, grids of workgroups are empty. The host reads who left where with the
 * step's tokens.
 */
import { exitGate } from "../kernels/exit-gate.ts";
import type { BufferSlice, Dims, KernelCall } from "../kernels/kernel.ts";
import { markedRows } from "../kernels/marked-rows.ts";
import { rowConfidence } from "../kernels/row-confidence.ts";
import type { LayerExits, SequenceId } from "../scheduler/work-plan.ts";
import { alignUp, type Device, wholeBuffer } from "./device.ts";
import { GatedCalls, type GatedGroup } from "./gated-calls.ts";

/** Sizes that are kept: requests choose thresholds, so there is no end of them. */
const MOST_SIZES = 1024;

export interface ExitingSizes {
  readonly hiddenSize: number;
  readonly vocabSize: number;
  /** Most rows that leave off in a step; most exits of one, and calls behind the first. */
  readonly maxRows: number;
  readonly maxExits: number;
  readonly maxCalls: number;
}

/** What runs between two exits. */
export interface ExitSegment {
  /** Logits of the rows at hand, in their order. */
  readonly ask: readonly KernelCall[];
  /** In order; of those that make keys and values, rows that have left are not spared. */
  readonly layers: readonly (readonly { readonly call: KernelCall; readonly fills: boolean }[])[];
}

/** Rows of one plan, at hand as the first of `hidden` [T,D]. */
export interface ExitingStep {
  readonly exits: LayerExits;
  readonly sequenceIds: readonly SequenceId[];
  readonly hidden: BufferSlice;
  readonly logits: BufferSlice;
  /** One for each exit. */
  readonly segments: readonly ExitSegment[];
  /** What runs last, if a row is left: where the last logits do for the others. */
  readonly last: readonly KernelCall[];
}

export class ExitingRows {
  readonly #device: Device;
  readonly #sizes: ExitingSizes;
  readonly #buffers: Readonly<Record<"confidence" | "held", BufferSlice>>;
  readonly #gates: GatedCalls;
  /** By cohort of a step. */
  readonly #marks: BufferSlice;
  readonly #bound = new Map<string, KernelCall["buffers"]>();
  readonly #dims = new Map<string, Dims>();
  /** Of the step being recorded. */
  #cohorts: (readonly SequenceId[])[] = [];

  private constructor(
    device: Device,
    sizes: ExitingSizes,
    gates: GatedCalls,
    buffers: Readonly<Record<"confidence" | "held" | "marks", BufferSlice>>,
  ) {
    this.#device = device;
    this.#sizes = sizes;
    this.#gates = gates;
    const { marks, ...others } = buffers;
    this.#marks = marks;
    this.#buffers = others;
  }

  static async create(device: Device, sizes: ExitingSizes): Promise<ExitingRows> {
    const { maxRows, maxExits, maxCalls, hiddenSize } = sizes;
    const { offsetAlignmentBytes } = device.info.limits;
    const allocate = async (name: string, sizeBytes: number) =>
      wholeBuffer(await device.createBuffer(name, alignUp(sizeBytes, 16)));
    // Each row may be a cohort, whose marks begin where a binding may.
    const most = { calls: maxRows * maxCalls, groups: maxRows * maxExits };
    const gates = await GatedCalls.create(device, "exit", most);
    const kernels = [rowConfidence, exitGate, markedRows];
    await device.prepare(kernels.map((kernel) => ({ kernel, constants: {} })));
    return new ExitingRows(device, sizes, gates, {
      confidence: await allocate("exit_confidence", 4 * maxRows),
      held: await allocate("exit_held", 4 * maxRows * hiddenSize),
      marks: await allocate("exit_marks", maxRows * alignUp(4 * maxRows, offsetAlignmentBytes)),
    });
  }

  /** Another step is recorded. */
  begin(): void {
    this.#cohorts = [];
    this.#gates.begin();
  }

  record({ exits, sequenceIds, hidden, logits, segments, last }: ExitingStep): void {
    const cohort = this.#cohorts.push(sequenceIds) - 1;
    const marks = this.#marksOf(cohort);
    const R = sequenceIds.length;
    const { hiddenSize: D, vocabSize: V, maxRows } = this.#sizes;
    const { confidence, held } = this.#buffers;
    const copied = (mark: number) => this.#sized({ T: maxRows, R, C: R, D, mark });
    const restore = {
      kernel: markedRows,
      buffers: this.#once(`restore ${cohort} ${hidden.buffer.id}`, { x: held, marks, out: hidden }),
      dims: copied(0),
      label: "exits",
    };
    const keep = this.#once(`keep ${cohort} ${hidden.buffer.id}`, { x: hidden, marks, out: held });
    const sure = {
      kernel: rowConfidence,
      buffers: this.#once("ask", { logits, confidence }),
      dims: this.#sized({ R, V }),
      label: "exits",
    };
    const calls: KernelCall[] = [];
    let gate: ((call: KernelCall) => KernelCall) | undefined;
    segments.forEach(({ ask, layers }, i) => {
      const next = segments[i + 1]?.ask ?? last;
      const behind = layers.flatMap((layer) => [
        ...layer.flatMap(({ call, fills }) => (fills ? [] : [call])),
        restore,
      ]);
      const asked = gate ? [...ask, sure].map(gate) : [...ask, sure];
      const mark = exits.layers[i];
      const group = this.#gates.add([...behind, ...next, sure]);
      const { gated } = group;
      const call = this.#gate(marks, group, {
        ...{ R, mark, first: i === 0 ? 1 : 0 },
        ...{ together: exits.together ? 1 : 0, threshold: exits.thresholds[i] },
      });
      calls.push(...asked, call, {
        ...{ kernel: markedRows, buffers: keep, label: "exits" },
        dims: copied(mark),
      });
      gate = gated;
      for (const layer of layers) {
        for (const { call: own, fills } of layer) calls.push(fills ? own : gated(own));
        calls.push(gated(restore));
      }
    });
    calls.push(...last.map((call) => gate!(call)));
    this.#device.record(calls);
  }

  /** Resolves with the layers that each row of the step ran before it left off; 0 for all. */
  async left(): Promise<Map<SequenceId, number>> {
    const cohorts = this.#cohorts;
    const first = this.#marksOf(0);
    const last = this.#marksOf(cohorts.length - 1);
    const sizeBytes = last.offsetBytes + last.sizeBytes - first.offsetBytes;
    const bytes = await this.#device.readback({ ...first, sizeBytes });
    const marks = new Uint32Array(bytes.slice().buffer);
    return new Map(
      cohorts.flatMap((ids, cohort) => {
        const at = (this.#marksOf(cohort).offsetBytes - first.offsetBytes) / 4;
        return ids.map((id, row): [SequenceId, number] => [id, marks[at + row]]);
      }),
    );
  }

  #marksOf(cohort: number): BufferSlice {
    const sizeBytes = 4 * this.#sizes.maxRows;
    const stride = alignUp(sizeBytes, this.#device.info.limits.offsetAlignmentBytes);
    const { buffer, offsetBytes } = this.#marks;
    return { buffer, offsetBytes: offsetBytes + cohort * stride, sizeBytes };
  }

  /** The call that asks rows whether they leave, and lets others run while one stays. */
  #gate(
    marks: BufferSlice,
    { size: N, grids, counts }: GatedGroup,
    dims: Readonly<Record<"R" | "mark" | "first" | "together" | "threshold", number>>,
  ): KernelCall {
    const { confidence } = this.#buffers;
    const name = `gate ${grids.offsetBytes} ${counts.offsetBytes} ${marks.offsetBytes} ${N}`;
    const buffers = this.#once(name, { confidence, marks, grids, counts });
    return { kernel: exitGate, buffers, dims: this.#sized({ ...dims, N }), label: "exits" };
  }

  /** Bind groups are cached on these. */
  #once(name: string, buffers: KernelCall["buffers"]): KernelCall["buffers"] {
    const known = this.#bound.get(name) ?? buffers;
    this.#bound.set(name, known);
    return known;
  }

  /** So are params on these. */
  #sized(dims: Dims): Dims {
    const name = JSON.stringify(dims);
    const known = this.#dims.get(name) ?? dims;
    if (this.#dims.size >= MOST_SIZES) this.#dims.clear();
    this.#dims.set(name, known);
    return known;
  }
}
