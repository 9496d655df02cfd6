/**
 * Turns a kernel value into a complete WGSL module: enables, params, bindings and accessors.
 * Every storage access goes through `load_*` and `store_*`, so a test build can count its bytes.
 */
import { elementBytes, type Kernel } from "./kernel.ts";

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
    const count = options.countBytes ? `count_bytes(${index}u, ${elementBytes(element)}u); ` : "";
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
  if (options.countBytes) {
    lines.push(
      `@group(0) @binding(${FIRST_STORAGE_BINDING + index}) ` +
        "var<storage, read_write> counts: array<atomic<u32>>;",
      "fn count_bytes(i: u32, n: u32) { atomicAdd(&counts[i], n); }",
    );
  }
  return `${lines.join("\n")}\n${kernel.wgsl}`;
}

/** Words of the params struct as the shader expects them. */
export function packParams(
  kernel: Kernel,
  dims: Record<string, number>,
  out: DataView,
  at: number,
) {
  let offset = at;
  for (const [name, type] of Object.entries(kernel.params)) {
    if (type === "f32") out.setFloat32(offset, dims[name], true);
    else out.setUint32(offset, dims[name], true);
    offset += 4;
  }
}
