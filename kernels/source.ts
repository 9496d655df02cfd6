/**
 * Turns a kernel value into a complete WGSL module: enables, params, bindings and accessors.
 * Every storage access goes through `load_*` and `store_*`, so a test build can count its bytes.
 */
import { KernelError } from "./errors.ts";
import { elementBytes, type Kernel, wgsl } from "./kernel.ts";

/** Binding 0 is the params uniform (dynamic offset); storage follows in declared order. */
export const FIRST_STORAGE_BINDING = 1;

export interface SourceOptions {
  /** Adds one more storage binding of atomics, `counts[i]` = bytes moved through binding i. */
  readonly countBytes?: boolean;
}

export function moduleSource(kernel: Kernel, options: SourceOptions = {}): string {
  const lines: string[] = [];
  for (const feature of kernel.features) {
    lines.push(`enable ${feature === "shader-f16" ? "f16" : feature};`);
  }
  const params = Object.entries(kernel.params);
  if (params.length > 0) {
    const fields = params.map(([name, type]) => `  ${name}: ${type},`).join("\n");
    lines.push(
      `struct Params {\n${fields}\n}`,
      "@group(0) @binding(0) var<uniform> params: Params;",
    );
  }
  for (const name of kernel.constants) lines.push(`override ${name}: u32;`);

  let index = 0;
  for (const [name, { access, element }] of Object.entries(kernel.bindings)) {
    const mode = access === "read" ? "read" : "read_write";
    const count = options.countBytes ? `moved_${name} += ${elementBytes(element)}u; ` : "";
    lines.push(
      `@group(0) @binding(${FIRST_STORAGE_BINDING + index}) ` +
        `var<storage, ${mode}> buffer_${name}: array<${element}>;`,
    );
    if (access !== "write") {
      lines.push(`fn load_${name}(i: u32) -> ${element} { ${count}return buffer_${name}[i]; }`);
    }
    if (access !== "read") {
      lines.push(`fn store_${name}(i: u32, v: ${element}) { ${count}buffer_${name}[i] = v; }`);
    }
    index += 1;
  }
  return `${lines.join("\n")}\n${options.countBytes ? countingBody(kernel) : kernel.wgsl}`;
}

/**
 * The body with its entry point wrapped: each lane counts in private memory and adds its counts up
 * when it is done. Atomics at every access would take software drivers seconds to compile.
 */
function countingBody(kernel: Kernel): string {
  const entry = /(@compute .*)\nfn main\((.*)\) \{/.exec(kernel.wgsl);
  if (!entry) {
    throw new KernelError(
      "bad_kernel",
      `kernel ${kernel.name} cannot count its bytes: write its entry point as one line, "fn main(…) {"`,
    );
  }
  const [header, stage, inputs] = entry;
  const plainInputs = inputs.replace(/@builtin\(\w+\) /g, "");
  const inputNames = Array.from(plainInputs.matchAll(/(\w+):/g), ([, name]) => name);
  const bindings = Object.keys(kernel.bindings);
  return wgsl`
@group(0) @binding(${FIRST_STORAGE_BINDING + bindings.length})
var<storage, read_write> counts: array<atomic<u32>>;
${bindings.map((name) => `var<private> moved_${name}: u32;`).join("\n")}
${kernel.wgsl.replace(header, `fn counted_main(${plainInputs}) {`)}

${stage}
fn main(${inputs}) {
  counted_main(${inputNames.join(", ")});
  ${bindings.map((name, i) => `atomicAdd(&counts[${i}], moved_${name});`).join("\n  ")}
}
`;
}
