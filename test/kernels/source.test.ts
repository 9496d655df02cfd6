// What every kernel of the list promises about its module, read from the text alone.

import { expect, test } from "vitest";
import { allKernels } from "../../kernels/index.ts";
import { bindingBytes, defineKernel, type Kernel, read, write } from "../../kernels/kernel.ts";
import { FIRST_STORAGE_BINDING, moduleSource } from "../../kernels/source.ts";

const kernels = allKernels.map((kernel) => [kernel.name, kernel] as const);

test("names are unique", () => {
  const names = allKernels.map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test.each(kernels)("%s reaches storage through its accessors alone", (_, { bindings, wgsl }) => {
  const body = withoutComments(wgsl);
  expect(body).not.toMatch(/\bbuffer_|var<(storage|uniform)|@group|@binding/);
  const accessors = Object.entries(bindings).flatMap(([name, { access }]) => [
    ...(access === "write" ? [] : [`load_${name}`]),
    ...(access === "read" ? [] : [`store_${name}`]),
  ]);
  const own = new Set(Array.from(body.matchAll(/\bfn (\w+)/g), ([, name]) => name!));
  const calls = Array.from(body.matchAll(/\b(?:load|store)_\w+(?=\()/g), ([call]) => call);
  const called = new Set(calls.filter((call) => !own.has(call)));
  // Both ways: nothing undeclared is called, and no declared accessor is there for nothing.
  expect([...called].sort()).toEqual(accessors.sort());
});

test.each(kernels)("%s fits a device with default limits", (_, kernel) => {
  expect(Object.keys(kernel.bindings).length).toBeLessThanOrEqual(8);
  expect(Object.keys(kernel.params).length).toBeLessThanOrEqual(64);
});

test.each(kernels)("%s has probes that are whole", (_, kernel) => {
  expect(kernel.probes.length).toBeGreaterThan(0);
  for (const { dims } of kernel.probes) {
    for (const name of [...Object.keys(kernel.params), ...kernel.constants]) {
      expect(dims[name], name).toBeTypeOf("number");
    }
    for (const binding of Object.values(kernel.bindings)) {
      expect(bindingBytes(binding, dims)).toBeGreaterThanOrEqual(0);
    }
    const { flops, bytes } = kernel.cost(dims);
    expect(Object.keys(bytes).sort()).toEqual(Object.keys(kernel.bindings).sort());
    for (const count of [flops, ...Object.values(bytes), ...kernel.workgroups(dims)]) {
      expect(Number.isInteger(count), `${count}`).toBe(true);
    }
  }
});

test.each(kernels)("%s declares what it uses in binding order", (_, kernel) => {
  const source = moduleSource(kernel);
  for (const [i, [name, { access, element }]] of Object.entries(kernel.bindings).entries()) {
    const mode = access === "read" ? "read" : "read_write";
    expect(source).toContain(
      `@group(0) @binding(${FIRST_STORAGE_BINDING + i}) var<storage, ${mode}> buffer_${name}: array<${element}>;`,
    );
  }
  for (const name of kernel.constants) expect(source).toContain(`override ${name}: u32;`);
  expect(source.includes("enable f16;")).toBe(kernel.features.includes("shader-f16"));
  expect(source.includes("f16>") || /\bf16\b/.test(withoutComments(kernel.wgsl))).toBe(
    kernel.features.includes("shader-f16"),
  );
});

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
