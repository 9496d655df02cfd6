// The buffers that a process holds on its GPU, whoever made them: WebGPU itself is watched.

export interface HeldBuffers {
  readonly count: number;
  readonly bytes: number;
}

/** Watches from now on. @returns What is held at the moment, and the end of watching. */
export function watchBuffers(): { held(): HeldBuffers; stop(): void } {
  /** By device, so that a device takes its buffers along. */
  const devices = new Map<GPUDevice, Map<GPUBuffer, number>>();
  const { createBuffer, destroy: destroyDevice } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    const buffers = devices.get(this) ?? new Map<GPUBuffer, number>();
    devices.set(this, buffers.set(buffer, descriptor.size));
    return buffer;
  };
  GPUDevice.prototype.destroy = function () {
    devices.delete(this);
    return destroyDevice.call(this);
  };
  GPUBuffer.prototype.destroy = function () {
    for (const buffers of devices.values()) buffers.delete(this);
    return destroy.call(this);
  };
  return {
    held() {
      const sizes = [...devices.values()].flatMap((buffers) => [...buffers.values()]);
      return { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
    },
    stop() {
      Object.assign(GPUDevice.prototype, { createBuffer, destroy: destroyDevice });
      Object.assign(GPUBuffer.prototype, { destroy });
    },
  };
}
