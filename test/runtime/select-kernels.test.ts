// What a load does about a driver that computes wrong results. The driver is the reference device,
// dressed as a GPU, with a fault planted in chosen kernels.

import { expect, test } from "vitest";
import type { Kernel, KernelCall } from "../../kernels/kernel.ts";
import { shapeVariants } from "../../kernels/matmul-variants.ts";
import { bringPackedFormats } from "../../kernels/packed-formats.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import { type MatrixUse, matrixKey } from "../../models/matrix-use.ts";
import type { Device, DeviceInfo, PipelineSpec } from "../../runtime/device.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { type KernelChoice, selectKernels } from "../../runtime/select-kernels.ts";
import { requireSound, selfTest } from "../../runtime/self-test.ts";
import { withTuned } from "../../runtime/tuning/tuned-choices.ts";

bringPackedFormats();

/** Adds `error` to the first output of every kernel whose name matches. */
function faulty(pattern: RegExp, error: number, subgroupSize?: number, software?: boolean): Device {
  const device = new ReferenceDevice();
  const features = ["shader-f16", "subgroups"];
  const info: DeviceInfo = { ...device.info, kind: "gpu", features, subgroupSize, software };
  const spoiled = new Map<Kernel, Kernel>();
  const spoil = (kernel: Kernel): Kernel => {
    if (!pattern.test(kernel.name)) return kernel;
    const known = spoiled.get(kernel) ?? {
      ...kernel,
      reference: (io, dims) => {
        kernel.reference(io, dims);
        (io.out ?? io.q)[0] += error;
      },
    };
    spoiled.set(kernel, known);
    return known;
  };
  return new Proxy(device, {
    get(target, name) {
      if (name === "info") return info;
      if (name === "prepare") {
        return (specs: readonly PipelineSpec[]) =>
          target.prepare(specs.map((spec) => ({ ...spec, kernel: spoil(spec.kernel) })));
      }
      if (name === "record") {
        return (calls: Iterable<KernelCall>) =>
          target.record(Array.from(calls, (call) => ({ ...call, kernel: spoil(call.kernel) })));
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const shape = (name: string) => new RegExp(`\\.${name}\\[`);
/** Of the one format that was asked for. */
const choiceOf = ({ matmul }: KernelChoice) => [...matmul.values()][0]!;
const shapesOf = (choice: KernelChoice) => choiceOf(choice).shapes.map(({ name }) => name);

test("a sound device keeps all matrix shapes, for each format that the model has", async () => {
  const choice = await selectKernels(faulty(/nothing/, 0, 32), new Set(["f16", "q4_k"]));
  expect([...choice.matmul.keys()]).toEqual(["f16", "q4_k"]);
  for (const { shapes, fusesNorm } of choice.matmul.values()) {
    expect(shapes.map(({ name }) => name)).toEqual(["gemv_subgroup32", "small_m", "tile"]);
    expect(fusesNorm).toBe(true);
  }
  expect(choice.demoted).toEqual([]);
});

test("a shape is given up for the format that it computes wrongly, not for others", async () => {
  const device = faulty(/gemv_subgroup32\[q8_0/, 1e-6, 32);
  const { matmul, demoted } = await selectKernels(device, new Set(["f16", "q8_0"]));
  const first = (format: "f16" | "q8_0") => matmul.get(format)!.shapes[0]!.name;
  expect([first("f16"), first("q8_0")]).toEqual(["gemv_subgroup32", "gemv"]);
  expect(demoted).toEqual([expect.stringMatching(/^matmul\.gemv_subgroup32\[q8_0\]: other bits/)]);
});

test.each([
  ["gemv_subgroup32", ["gemv", "small_m", "tile"]],
  ["gemv(_subgroup32)?", ["small_m", "tile"]],
])("a %s whose bits differ leaves one row to the next best", async (name, left) => {
  const choice = await selectKernels(faulty(shape(name), 1e-6, 32), new Set(["f32"]));
  expect(shapesOf(choice)).toEqual(left);
  expect(choiceOf(choice).fusesNorm).toBe(true);
  expect(choice.demoted[0]).toMatch(/gemv_subgroup32\[f32\]: other bits/);
});

test.each(["small_m", "tile"])(
  "a %s whose bits differ leaves one shape for all rows, and the norm apart",
  async (name) => {
    const choice = await selectKernels(faulty(shape(name), 1e-6, 32), new Set(["f32"]));
    expect(shapesOf(choice)).toEqual(["small_m"]);
    expect(choiceOf(choice).fusesNorm).toBe(false);
    expect(choice.demoted).toEqual([expect.stringContaining("other bits")]);
  },
);

const rotating = {
  formats: new Set(["f16"] as const),
  epilogue: { bias: true, tail: "rope_kv_f16" },
} as const;

test("a QKV matrix rotates where the device proves it, and where the model has one", async () => {
  const formats = new Set(["f16", "q8_0"] as const);
  const { matmul, demoted } = await selectKernels(faulty(/nothing/, 0, 32), formats, rotating);
  expect(matmul.get("f16")!.fusesRope).toBe(true);
  expect(matmul.get("q8_0")!.fusesRope).toBe(false);
  expect(demoted).toEqual([]);
});

test.each(["gemv_subgroup32", "small_m"])(
  "a %s that rotates to other bits leaves that to a kernel of its own",
  async (name) => {
    const device = faulty(new RegExp(`${name}\\[.*rope_kv`), 1e-6, 32);
    const { matmul, demoted } = await selectKernels(device, new Set(["f16"]), rotating);
    expect(matmul.get("f16")).toMatchObject({ fusesNorm: true, fusesRope: false });
    expect(demoted).toEqual([
      `matmul.${name}[f16,norm].bias_rope_kv_f16: other bits than rope_kv_write after the matrix`,
    ]);
  },
);

test("a tuned shape that rotates wrongly is left out for the matrix that rotates, and for no other", async () => {
  const tuned = shapeVariants.find(({ hasOctets, maxRows }) => hasOctets && maxRows === 1)!;
  const plain: MatrixUse = { format: "f16", N: 64, K: 64, gated: false, norm: true, octets: false };
  const rotates: MatrixUse = { ...plain, octets: true };
  const found = [plain, rotates].map((use) => ({ use, shape: tuned }));
  const device = faulty(new RegExp(`${tuned.name}\\[f16,norm\\]\\..*rope_kv`), 1e-6, 32);
  const standard = await selectKernels(device, new Set(["f16"]), rotating);
  const { matmul, demoted } = await withTuned(device, standard, found, rotating);
  expect([...matmul.get("f16")!.tuned!.keys()]).toEqual([matrixKey(plain)]);
  expect(demoted).toEqual([expect.stringMatching(/other bits than rope_kv_write/)]);
});

const stacks = new Set(["q8_0"] as const);

test("experts have the shapes of other matrices, and those for f32 rows where these are rounded", async () => {
  const formats = new Set(["f16", "q8_0"] as const);
  const { matmul } = await selectKernels(faulty(/nothing/, 0, 32), formats, undefined, { stacks });
  const { shapes, experts } = matmul.get("q8_0")!;
  expect(experts!.shapes).toEqual(shapes);
  expect(matmul.get("f16")!.experts).toBeUndefined();
  const options = { stacks, activations: "i8" } as const;
  const rounded = await selectKernels(faulty(/nothing/, 0, 32), stacks, undefined, options);
  expect(choiceOf(rounded).experts!.shapes).toEqual(shapes);
  expect(shapesOf(rounded)).toEqual(["gemv_int8", "small_m_int8", "tile_int8"]);
});

test.each([
  "gemv_subgroup32[q8_0,slots]",
  "gemv_subgroup32[q8_0,norm,slots]",
  "small_m[q8_0,blocks]",
])(
  "experts by a %s of other bits leave blocks of one size for all, other matrices as they were",
  async (name) => {
    const device = faulty(new RegExp(`matmul\\.${name.replace(/[[\]]/g, "\\$&")}`), 1e-6, 32);
    const { matmul, demoted } = await selectKernels(device, stacks, undefined, { stacks });
    const { shapes, experts } = matmul.get("q8_0")!;
    expect(shapes.map((of) => of.name)).toEqual(["gemv_subgroup32", "small_m", "tile"]);
    expect(experts!.shapes.map((of) => of.name)).toEqual(["tile"]);
    expect(experts!.fusesNorm).toBe(false);
    expect(demoted).toEqual([expect.stringContaining(`matmul.${name}.store: other bits`)]);
  },
);

test("a device whose subgroups vary in size gets the kernel that needs none", async () => {
  const device = faulty(/nothing/, 0);
  expect(shapesOf(await selectKernels(device, new Set(["f32"])))).toEqual([
    "gemv",
    "small_m",
    "tile",
  ]);
});

test.each([
  [/nothing/, ["gemv_broadcast8", "small_m_broadcast8", "tile_broadcast8"], true],
  [shape("gemv_broadcast8"), ["small_m_broadcast8", "tile_broadcast8"], true],
  [shape("small_m_broadcast8"), ["small_m_broadcast8"], false],
])("on a processor that plays GPU lanes share x; where %s is wrong", async (wrong, left, fused) => {
  const choice = await selectKernels(faulty(wrong, 1e-6, 8, true), new Set(["f32"]));
  expect(shapesOf(choice)).toEqual(left);
  expect(choiceOf(choice).fusesNorm).toBe(fused);
});

test.each([
  [true, ["gemv_broadcast8_any", "small_m_broadcast8_any", "tile_broadcast8_any"]],
  [false, ["gemv_any", "small_m_any", "tile_any"]],
])("shapes in any order need not agree; software: %s", async (software, names) => {
  const device = faulty(/small_m/, 1e-6, 8, software);
  const choice = await selectKernels(device, new Set(["f32"]), undefined, { invariant: false });
  expect(shapesOf(choice)).toEqual(names);
  expect(choice).toMatchObject({ invariant: false, demoted: [] });
  expect(await selfTest(device, [], choice)).toMatchObject({ invariant: false });
});

test("with int8 rows, formats of integers take the shapes of that class, and others stay", async () => {
  const device = faulty(/nothing/, 0, 8, true);
  const options = { activations: "i8" } as const;
  const formats = new Set(["f16", "q4_0"] as const);
  const { matmul, demoted, invariant } = await selectKernels(device, formats, undefined, options);
  const names = (format: "f16" | "q4_0") => matmul.get(format)!.shapes.map(({ name }) => name);
  expect(names("q4_0")).toEqual(["gemv_int8", "small_m_int8", "tile_int8"]);
  expect(names("f16")).toEqual(["gemv_broadcast8", "small_m_broadcast8", "tile_broadcast8"]);
  expect({ demoted, invariant }).toEqual({ demoted: [], invariant: true });
});

test.each([
  ["gemv_int8", ["small_m_int8", "tile_int8"], true],
  ["tile_int8", ["small_m_int8"], false],
])("a %s whose bits differ is given up, inside its class", async (wrong, left, fused) => {
  const device = faulty(shape(wrong), 1e-6, 32);
  const options = { activations: "i8" } as const;
  const choice = await selectKernels(device, new Set(["q8_0"]), undefined, options);
  expect(shapesOf(choice)).toEqual(left);
  expect(choiceOf(choice).fusesNorm).toBe(fused);
  expect(choice.demoted).toEqual([expect.stringContaining("other bits")]);
});

test("a kernel that computes wrong results stops the load, with its name and the cure", async () => {
  const pipelines = [{ kernel: rmsNorm, constants: {} }];
  const sound = await selfTest(faulty(/nothing/, 0, 32), pipelines);
  expect(sound).toMatchObject({ passed: 1, failed: 0, invariant: true });
  requireSound(sound);

  const wrong = await selfTest(faulty(/rms_norm/, 1, 32), pipelines);
  expect(wrong).toMatchObject({ passed: 0, failed: 1, invariant: false });
  expect(() => requireSound(wrong)).toThrow(/rms_norm.*update the GPU driver/);
});
