// Builds safetensors files for tests, sound or broken as the test wants.

export interface TensorSpec {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A sound file: tensors in the order given, one after the other. */
export function safetensorsFile(tensors: Record<string, TensorSpec>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const entries = Object.entries(tensors);
  const data = new Uint8Array(entries.reduce((sum, [, { bytes }]) => sum + bytes.length, 0));
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of entries) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    data.set(bytes, at);
    at += bytes.length;
  }
  return assemble(JSON.stringify(header), data);
}

/** Any header text before any data; `declared` lies about the header's length. */
export function assemble(
  header: string,
  data: Uint8Array,
  declared?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, declared ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
