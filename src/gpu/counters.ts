/**
 * What a device has done so far.
 *
 * @module
 */

/** Running totals since the device was opened. All sizes are bytes. */
export interface GpuCounters {
  /** Dispatches encoded. */
  dispatches: number;
  /** Command buffers submitted. */
  submits: number;
  /** Bind groups created. */
  bindGroups: number;
  /** Buffers created. */
  buffersCreated: number;
  /** Bytes written from the host. */
  bytesToGpu: number;
  /** Bytes read back to the host. */
  bytesFromGpu: number;
  /** Seconds spent compiling kernels; what a driver puts off until a kernel's first use is not among them. */
  compileSeconds: number;
  /** Kernels whose machine code other devices made before it was needed, see docs/portability.md. */
  kernelsAhead: number;
  /** Bytes of GPU buffers alive now. */
  bytesAllocated: number;
  /** The most bytes of GPU buffers alive at once. */
  peakBytesAllocated: number;
}

/** Counters of a device that has done nothing. */
export function zeroCounters(): GpuCounters {
  return {
    dispatches: 0,
    submits: 0,
    bindGroups: 0,
    buffersCreated: 0,
    bytesToGpu: 0,
    bytesFromGpu: 0,
    compileSeconds: 0,
    kernelsAhead: 0,
    bytesAllocated: 0,
    peakBytesAllocated: 0,
  };
}
