// Philox4x32-10: published vectors, and the shader's words equal to JavaScript's.

import { expect, test } from "vitest";
import { defineKernel, read, wgsl, write } from "../../kernels/kernel.ts";
import { philox, philoxWgsl, type Words2, type Words4 } from "../../kernels/philox.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { openDevice } from "../harness/device.ts";

// Random123, tests/kat_vectors.
const KNOWN: readonly (readonly [Words4, Words2, Words4])[] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

const kernel = defineKernel({
  name: "philox",
  numerics: "philox",
  bindings: {
    counters: read("N,4", "vec4<u32>"),
    keys: read("N,2", "vec2<u32>"),
    words: write("N,4", "vec4<u32>"),
  },
  params: { N: "u32" },
  wgsl: wgsl`
${philoxWgsl}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < params.N) { store_words(id.x, philox(load_counters(id.x), load_keys(id.x))); }
}
`,
  workgroups: ({ N }) => [Math.ceil(N / 64), 1, 1],
  cost: ({ N }) => ({ flops: 0, bytes: { counters: 16 * N, keys: 8 * N, words: 16 * N } }),
  reference: ({ counters, keys, words }, { N }) => {
    for (let i = 0; i < N; i++) {
      const [a, b, c, d] = counters.subarray(4 * i, 4 * i + 4);
      words.set(philox([a, b, c, d], [keys[2 * i], keys[2 * i + 1]]), 4 * i);
    }
  },
});

test("equals the published vectors", () => {
  for (const [counter, key, words] of KNOWN) expect(philox(counter, key)).toEqual(words);
});

test("gives the same words on the device", async () => {
  const device = await openDevice("baseline");
  const N = 1000;
  const { problem, outputs } = await runProbe(device, kernel, {
    dims: { N },
    inputs: (random) => {
      const word = () => Math.floor(2 ** 32 * random());
      const counters = Uint32Array.from({ length: 4 * N }, word);
      const keys = Uint32Array.from({ length: 2 * N }, word);
      for (const [i, [counter, key]] of KNOWN.entries()) {
        counters.set(counter, 4 * i);
        keys.set(key, 2 * i);
      }
      return { counters, keys };
    },
  });
  expect(problem).toBe("");
  const words = new Uint32Array(outputs.words!.slice().buffer);
  for (const [i, [, , known]] of KNOWN.entries()) {
    expect([...words.subarray(4 * i, 4 * i + 4)]).toEqual(known);
  }
  device.destroy();
});
