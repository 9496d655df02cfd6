/**
 * Kernels that users drop in. One whose operation (its name up to the first dot or bracket) is one of
 * ours runs at the same shapes with the same inputs; any other runs at its own probes.
 */
import { type Kernel, seededRandom } from "../../kernels/index.ts";
import type { LabCase } from "./lab-case.ts";
import type { Source } from "./result.ts";

export interface Job {
  readonly of: LabCase;
  readonly kernel: Kernel;
  readonly source: Source;
}

export const operationOf = ({ name }: Kernel): string => /^\w+/.exec(name)?.[0] ?? name;

/** Ours of every case, and theirs beside them. */
export function withUserKernels(cases: readonly LabCase[], theirs: readonly Kernel[]): Job[] {
  const known = new Set(cases.map(({ operation }) => operation));
  const beside = cases.flatMap((of): Job[] => [
    ...of.kernels.map((kernel) => ({ of, kernel, source: "weft" as const })),
    ...theirs
      .filter((kernel) => operationOf(kernel) === of.operation)
      .map((kernel) => ({ of, kernel, source: "yours" as const })),
  ]);
  const alone = theirs.filter((kernel) => !known.has(operationOf(kernel)));
  return [...beside, ...alone.flatMap(atItsProbes)];
}

function atItsProbes(kernel: Kernel): Job[] {
  return kernel.probes.map(({ dims, inputs }, index) => ({
    kernel,
    source: "yours",
    of: {
      model: "its own",
      operation: operationOf(kernel),
      role: `probe ${index + 1}`,
      rows: dims.T ?? 1,
      kernels: [kernel],
      dims,
      inputs: () => inputs(seededRandom(1)),
    },
  }));
}

/** Kernels among a module's exports, alone or in lists. */
export function kernelsOf(module: Readonly<Record<string, unknown>>): Kernel[] {
  return [...new Set(Object.values(module).flat())].filter(isKernel);
}

function isKernel(value: unknown): value is Kernel {
  const kernel = (value ?? {}) as Partial<Record<keyof Kernel, unknown>>;
  return (
    typeof kernel.name === "string" &&
    typeof kernel.wgsl === "string" &&
    typeof kernel.bindings === "object" &&
    [kernel.workgroups, kernel.cost, kernel.reference].every((part) => typeof part === "function")
  );
}
