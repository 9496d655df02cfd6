/**
 * onnxruntime-web's WebGPU provider beside our kernels: one small model per task, inputs and outputs
 * on the GPU. Refuses to run where a node would fall back to the processor.
 */
import { type OnnxGraph, onnxModel } from "./onnx-model.ts";
import { Absent, absentOpponent, type Contender, type Opponent } from "./opponent.ts";
import { EPS, type Task } from "./tasks.ts";

// biome-ignore lint/suspicious/noExplicitAny: the library is no dependency, so there are no types.
type Any = any;

/** Storage, copy source and copy destination, as WebGPU numbers them. */
const STORAGE_BUFFER = 0x80 | 0x04 | 0x08;

/** @param folder URL of onnxruntime-web's `dist`, ending in a slash. */
export async function onnxruntime(folder: string): Promise<Opponent> {
  const url = new URL(folder, location.href).href;
  let library: Any;
  try {
    library = await import(/* @vite-ignore */ `${url}ort.webgpu.min.mjs`);
  } catch {
    return absentOpponent(
      "onnxruntime-web",
      "it is not served here; run npm install in bench/lab, then npm run lab",
    );
  }
  library.env.wasm.wasmPaths = url;
  library.env.wasm.numThreads = 1;
  library.env.logLevel = "error";
  return {
    source: "onnxruntime-web",
    backends: ["webgpu"],
    open: (_, task) => open(library, task),
  };
}

async function open(library: Any, task: Task): Promise<Contender> {
  const { graph, feeds } = modelOf(task, task.inputs());
  const outputs = Object.keys(graph.outputs);
  const session = await library.InferenceSession.create(onnxModel(graph), {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
    // Without it a node that the provider lacks runs on the processor, and nobody hears of it.
    extra: { session: { disable_cpu_ep_fallback: "1" } },
  }).catch((error: unknown) => {
    throw new Absent(
      `its WebGPU provider refused: ${error instanceof Error ? error.message : error}`,
    );
  });
  const device = await library.env.webgpu.device;
  const buffers: Any[] = [];
  const inputs: Record<string, Any> = {};
  for (const [name, values] of Object.entries(feeds)) {
    const { type, dims } = graph.inputs[name];
    if (type === "int32") {
      inputs[name] = new library.Tensor("int32", values, dims);
      continue;
    }
    const size = Math.max(16, 16 * Math.ceil(values.byteLength / 16));
    const buffer = device.createBuffer({ size, usage: STORAGE_BUFFER });
    device.queue.writeBuffer(buffer, 0, values);
    buffers.push(buffer);
    inputs[name] = library.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
  }
  const once = (): Promise<Record<string, Any>> => session.run(inputs);
  const release = (results: Record<string, Any>) => {
    for (const name of outputs) results[name].dispose();
  };
  return {
    backend: "WebGPU provider",
    run: async (repeats) => {
      for (let i = 0; i < repeats; i++) release(await once());
      await device.queue.onSubmittedWorkDone();
    },
    read: async () => {
      const results = await once();
      const values = Float32Array.from(await results.out.getData());
      release(results);
      return values;
    },
    destroy: () => {
      for (const buffer of buffers) buffer.destroy();
      void session.release();
    },
  };
}

interface OnnxTask {
  readonly graph: OnnxGraph;
  readonly feeds: Readonly<Record<string, Float32Array | Int32Array>>;
}

const float = (...dims: number[]) => ({ type: "float32", dims }) as const;

function modelOf({ operation, sizes }: Task, given: Record<string, Float32Array>): OnnxTask {
  const { T, N, K, D, F } = sizes;
  switch (operation) {
    case "matmul":
      return {
        graph: {
          nodes: [{ op: "MatMul", inputs: ["x", "weight"], outputs: ["out"] }],
          inputs: { x: float(T, K) },
          outputs: { out: float(T, N) },
          constants: { weight: { dims: [K, N], values: transposed(given.weight, N, K) } },
        },
        feeds: { x: given.x },
      };
    case "rms_norm":
      return {
        graph: {
          nodes: [
            {
              ...{ op: "SimplifiedLayerNormalization", inputs: ["x", "weight"], outputs: ["out"] },
              attributes: { axis: 1, epsilon: { float: EPS } },
            },
          ],
          inputs: { x: float(T, D) },
          outputs: { out: float(T, D) },
          constants: { weight: { dims: [D], values: given.weight } },
        },
        feeds: { x: given.x },
      };
    case "gated_activation": {
      const half = (first: number) => {
        const values = new Float32Array(T * F);
        for (let t = 0; t < T; t++) {
          const from = 2 * t * F + first;
          values.set(given.gate_up.subarray(from, from + F), t * F);
        }
        return values;
      };
      return {
        graph: {
          nodes: [
            { op: "Sigmoid", inputs: ["gate"], outputs: ["share"] },
            { op: "Mul", inputs: ["gate", "share"], outputs: ["active"] },
            { op: "Mul", inputs: ["active", "up"], outputs: ["out"] },
          ],
          inputs: { gate: float(T, F), up: float(T, F) },
          outputs: { out: float(T, F) },
        },
        feeds: { gate: half(0), up: half(F) },
      };
    }
    case "attention_decode":
      return attentionModel(sizes, given);
  }
}

/** The last position is the new one; the cache before it is `past`, as exported models have it. */
function attentionModel(
  { N, K, H, C }: Task["sizes"],
  { q, k, v }: Record<string, Float32Array>,
): OnnxTask {
  const last = (C - 1) * K * H;
  const past = (values: Float32Array) => {
    const out = new Float32Array(K * (C - 1) * H);
    for (let head = 0; head < K; head++) {
      for (let c = 0; c < C - 1; c++) {
        const from = (c * K + head) * H;
        out.set(values.subarray(from, from + H), (head * (C - 1) + c) * H);
      }
    }
    return out;
  };
  return {
    graph: {
      nodes: [
        {
          op: "GroupQueryAttention",
          domain: "com.microsoft",
          inputs: ["q", "k", "v", "past_key", "past_value", "seqlens_k", "total"],
          outputs: ["out", "present_key", "present_value"],
          attributes: { num_heads: N, kv_num_heads: K, scale: { float: 1 / Math.sqrt(H) } },
        },
      ],
      inputs: {
        ...{ q: float(1, 1, N * H), k: float(1, 1, K * H), v: float(1, 1, K * H) },
        ...{ past_key: float(1, K, C - 1, H), past_value: float(1, K, C - 1, H) },
        seqlens_k: { type: "int32", dims: [1] },
        total: { type: "int32", dims: [1] },
      },
      outputs: {
        out: float(1, 1, N * H),
        // onnx infers the sizes of a cache that is shared with the past; here they grow by one.
        present_key: { type: "float32" },
        present_value: { type: "float32" },
      },
    },
    feeds: {
      ...{ q, k: k.slice(last), v: v.slice(last), past_key: past(k), past_value: past(v) },
      ...{ seqlens_k: Int32Array.of(C - 1), total: Int32Array.of(C) },
    },
  };
}

/** [N,K] to [K,N]: ONNX multiplies from the other side. */
function transposed(values: Float32Array, N: number, K: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let n = 0; n < N; n++) {
    for (let k = 0; k < K; k++) out[k * N + n] = values[n * K + k];
  }
  return out;
}
