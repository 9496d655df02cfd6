/**
 * Small ONNX models, written field by field as protobuf: single operations for onnxruntime. Knows the
 * dozen fields that such a model needs.
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
export type Attribute = number | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Default: ONNX's own operators. */
  readonly domain?: "com.microsoft";
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface OnnxTensor {
  readonly type: "float32" | "int32";
  /** Outputs may leave them to the runtime. */
  readonly dims?: readonly number[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: Readonly<Record<string, OnnxTensor>>;
  readonly outputs: Readonly<Record<string, OnnxTensor>>;
  /** Weights: f32, part of the model. */
  readonly constants?: Readonly<
    Record<string, { readonly dims: readonly number[]; readonly values: Float32Array }>
  >;
}

const OPSET = 21;
const IR_VERSION = 10;
const TYPES = { float32: 1, int32: 6 } as const;
const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;

export function onnxModel({ nodes, inputs, outputs, constants = {} }: OnnxGraph): Uint8Array {
  const graph = message(
    ...nodes.map((node) => field(1, nodeOf(node))),
    field(2, text("lab")),
    ...Object.entries(constants).map(([name, constant]) => field(5, constantOf(name, constant))),
    ...Object.entries(inputs).map(([name, tensor]) => field(11, tensorOf(name, tensor))),
    ...Object.entries(outputs).map(([name, tensor]) => field(12, tensorOf(name, tensor))),
  );
  return message(
    field(1, IR_VERSION),
    field(7, graph),
    field(8, message(field(1, text("")), field(2, OPSET))),
    field(8, message(field(1, text("com.microsoft")), field(2, 1))),
  );
}

const nodeOf = ({ op, inputs, outputs, domain, attributes = {} }: OnnxNode) =>
  message(
    ...inputs.map((name) => field(1, text(name))),
    ...outputs.map((name) => field(2, text(name))),
    field(4, text(op)),
    ...Object.entries(attributes).map(([name, value]) => field(5, attributeOf(name, value))),
    field(7, text(domain ?? "")),
  );

function attributeOf(name: string, value: Attribute): Uint8Array {
  if (typeof value === "number") {
    return message(field(1, text(name)), field(3, value), field(20, ATTRIBUTE_INT));
  }
  const bits = new Uint8Array(Float32Array.of(value.float).buffer);
  return message(
    field(1, text(name)),
    message(varint((2 << 3) | 5), bits),
    field(20, ATTRIBUTE_FLOAT),
  );
}

const constantOf = (
  name: string,
  { dims, values }: { readonly dims: readonly number[]; readonly values: Float32Array },
) =>
  message(
    ...dims.map((size) => field(1, size)),
    field(2, TYPES.float32),
    field(8, text(name)),
    field(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  );

const tensorOf = (name: string, { type, dims }: OnnxTensor) =>
  message(
    field(1, text(name)),
    field(
      2,
      message(
        field(
          1,
          message(
            field(1, TYPES[type]),
            ...(dims
              ? [field(2, message(...dims.map((size) => field(1, message(field(1, size))))))]
              : []),
          ),
        ),
      ),
    ),
  );

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A number as varint, bytes with their length before them. */
function field(number: number, value: number | Uint8Array): Uint8Array {
  if (typeof value === "number") return message(varint(number << 3), varint(value));
  return message(varint((number << 3) | 2), varint(value.length), value);
}

/** Values of this file are below 2^31, and none is negative. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Uint8Array.of(...bytes, rest);
}

function message(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
