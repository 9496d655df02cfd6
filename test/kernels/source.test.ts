// What every kernel of the list promises about its module, read from the text alone.

import { expect, test } from "vitest";
import { allKernels } from "../../kernels/index.ts";
import { bindingBytes, defineKernel, type Kernel, read, write } from "../../kernels/kernel.ts";
import { FIRST_STORAGE_BINDING, moduleSource } from "../../kernels/source.ts";

/** By operation and, for matrices, shape: thousands of kernels, so not a test each. */
const families = new Map<string, Kernel[]>();
for (const kernel of allKernels) {
  const [family] = kernel.name.split("[");
  families.set(family!, [...(families.get(family!) ?? []), kernel]);
}
const every = [...families];

test("names are unique", () => {
  const names = allKernels.map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test.each(every)("%s: storage is reached through accessors alone", (_, kernels) => {
  for (const kernel of kernels) expectAccessorsAlone(kernel);
});

function expectAccessorsAlone({ name, bindings, wgsl }: Kernel): void {
  const body = withoutComments(wgsl);
  expect(body, name).not.toMatch(/\bbuffer_|var<(storage|uniform)|@group|@binding/);
  const accessors = Object.entries(bindings).flatMap(([name, { access }]) => [
    ...(access === "write" ? [] : [`load_${name}`]),
    ...(access === "read" ? [] : [`store_${name}`]),
  ]);
  const own = new Set(Array.from(body.matchAll(/\bfn (\w+)/g), ([, name]) => name!));
  const calls = Array.from(body.matchAll(/\b(?:load|store)_\w+(?=\()/g), ([call]) => call);
  const called = new Set(calls.filter((call) => !own.has(call)));
  // Both ways: nothing undeclared is called, and no declared accessor is there for nothing.
  expect([...called].sort(), name).toEqual(accessors.sort());
}

test.each(every)("%s: fits a device with default limits", (_, kernels) => {
  for (const { name, bindings, params } of kernels) {
    expect(Object.keys(bindings).length, name).toBeLessThanOrEqual(8);
    expect(Object.keys(params).length, name).toBeLessThanOrEqual(64);
  }
});

test.each(every)("%s: probes are whole", (_, kernels) => {
  for (const kernel of kernels) expectWholeProbes(kernel);
});

function expectWholeProbes(kernel: Kernel): void {
  expect(kernel.probes.length, kernel.name).toBeGreaterThan(0);
  for (const { dims } of kernel.probes) {
    for (const name of [...Object.keys(kernel.params), ...kernel.constants]) {
      expect(dims[name], `${kernel.name}, ${name}`).toBeTypeOf("number");
    }
    for (const binding of Object.values(kernel.bindings)) {
      expect(bindingBytes(binding, dims), kernel.name).toBeGreaterThanOrEqual(0);
    }
    const { flops, bytes } = kernel.cost(dims);
    expect(Object.keys(bytes).sort(), kernel.name).toEqual(Object.keys(kernel.bindings).sort());
    for (const count of [flops, ...Object.values(bytes), ...kernel.workgroups(dims)]) {
      expect(Number.isInteger(count), `${kernel.name}, ${count}`).toBe(true);
    }
  }
}

test.each(every)("%s: declares what it uses in binding order", (_, kernels) => {
  for (const kernel of kernels) expectDeclared(kernel);
});

function expectDeclared(kernel: Kernel): void {
  const source = moduleSource(kernel);
  for (const [i, [name, { access, element }]] of Object.entries(kernel.bindings).entries()) {
    const mode = access === "read" ? "read" : "read_write";
    expect(source, kernel.name).toContain(
      `@group(0) @binding(${FIRST_STORAGE_BINDING + i}) var<storage, ${mode}> buffer_${name}: array<${element}>;`,
    );
  }
  for (const name of kernel.constants)
    expect(source, kernel.name).toContain(`override ${name}: u32;`);
  const usesHalf = kernel.features.includes("shader-f16");
  expect(source.includes("enable f16;"), kernel.name).toBe(usesHalf);
  const body = withoutComments(kernel.wgsl);
  expect(source.includes("f16>") || /\bf16\b/.test(body), kernel.name).toBe(usesHalf);
}

test("a kernel with nine storage bindings is refused", () => {
  const nine = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x${i}`, read("N")]));
  expect(() => copy(nine)).toThrow(/copy has 9 storage bindings, WebGPU guarantees 8/);
});

test("a counting build needs an entry point that it can wrap", () => {
  const kernel = copy({ x: read("N"), out: write("N") });
  expect(() => moduleSource(kernel, { countBytes: true })).toThrow(/copy cannot count its bytes/);
});

function copy(bindings: Kernel["bindings"]): Kernel {
  return defineKernel({
    name: "copy",
    numerics: "copy",
    bindings,
    wgsl: "",
    workgroups: () => [1, 1, 1],
    cost: () => ({ flops: 0, bytes: {} }),
    reference: () => {},
  });
}

const withoutComments = (wgsl: string) => wgsl.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
