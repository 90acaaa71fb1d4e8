/**
 * ONNX Runtime Web with its WebGPU provider: inference only, so single operations, with inputs and outputs on the device.
 */

import * as ort from "onnxruntime-web/webgpu";
import { type Engine, type Ready, serve } from "../harness/worker.ts";
import { COMPARED, inputValues, type Item } from "../harness/work_items.ts";

// --- an ONNX file of one node, in the protobuf wire format -----------------------------------------------------------

type Bytes = number[];

function varint(value: number): Bytes {
  const bytes: Bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return [...bytes, value];
}

const integer = (field: number, value: number): Bytes => [...varint(8 * field), ...varint(value)];
const message = (field: number, bytes: Bytes): Bytes => [
  ...varint(8 * field + 2),
  ...varint(bytes.length),
  ...bytes,
];
const text = (field: number, value: string): Bytes =>
  message(field, Array.from(new TextEncoder().encode(value)));

/** A float tensor of that name and shape. */
function valueInfo(field: number, name: string, shape: readonly number[]): Bytes {
  const dims = shape.flatMap((size) => message(1, integer(1, size)));
  const tensor = [...integer(1, 1), ...message(2, dims)];
  return message(field, [...text(1, name), ...message(2, message(1, tensor))]);
}

interface Node {
  readonly type: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly output: readonly number[];
  /** Integer attributes. */
  readonly attributes?: Readonly<Record<string, number>>;
}

function onnx({ type, inputs, output, attributes = {} }: Node): Uint8Array {
  const node = [
    ...Object.keys(inputs).flatMap((name) => text(1, name)),
    ...text(2, "y"),
    ...text(4, type),
    // AttributeProto: name, i, type INT.
    ...Object.entries(attributes).flatMap(([name, value]) =>
      message(5, [...text(1, name), ...integer(3, value), ...integer(20, 2)])
    ),
  ];
  const graph = [
    ...message(1, node),
    ...text(2, "one"),
    ...Object.entries(inputs).flatMap(([name, shape]) => valueInfo(11, name, shape)),
    ...valueInfo(12, "y", output),
  ];
  return Uint8Array.from([
    ...integer(1, 8),
    ...message(7, graph),
    ...message(8, [...text(1, ""), ...integer(2, 13)]),
  ]);
}

// --- running it ------------------------------------------------------------------------------------------------------

function deviceTensor(device: GPUDevice, dims: readonly number[]): ort.Tensor {
  const n = dims.reduce((n, size) => n * size, 1);
  const gpuBuffer = device.createBuffer({
    size: Math.max(16, 4 * n),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(gpuBuffer, 0, inputValues(n));
  // deno-lint-ignore no-explicit-any -- its own declaration of GPUBuffer differs
  return ort.Tensor.fromGpuBuffer(gpuBuffer as any, { dataType: "float32", dims: [...dims] });
}

async function once(node: Node): Promise<Ready> {
  const session = await ort.InferenceSession.create(onnx(node), {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
  });
  const device = await ort.env.webgpu.device as unknown as GPUDevice;
  const feeds = Object.fromEntries(
    Object.entries(node.inputs).map(([name, dims]) => [name, deviceTensor(device, dims)]),
  );
  return {
    run: async () => {
      const { y } = await session.run(feeds);
      await device.queue.onSubmittedWorkDone();
      y!.dispose();
    },
    results: async () => {
      const { y } = await session.run(feeds);
      const values = await y!.getData(true) as Float32Array;
      return Array.from(values.subarray(0, COMPARED));
    },
    dispose: () => {
      for (const feed of Object.values(feeds)) (feed.gpuBuffer as unknown as GPUBuffer).destroy();
      session.release();
    },
  };
}

function prepare(item: Item): Promise<Ready> | undefined {
  switch (item.kind) {
    case "matmul": {
      const { layout, m, k, n } = item;
      // ONNX has no product with a transposed operand but Gemm.
      return once({
        type: layout === "nn" ? "MatMul" : "Gemm",
        inputs: { a: layout === "tn" ? [k, m] : [m, k], b: layout === "nt" ? [n, k] : [k, n] },
        output: [m, n],
        attributes: layout === "tn" ? { transA: 1 } : layout === "nt" ? { transB: 1 } : {},
      });
    }
    case "softmax": {
      const shape = [item.rows, item.columns];
      return once({ type: "Softmax", inputs: { x: shape }, output: shape });
    }
    case "sum":
      return once({
        type: "ReduceSum",
        inputs: { x: [4096, item.n / 4096] },
        output: [1, 1],
        attributes: { keepdims: 1 },
      });
    case "step":
    case "generate":
      return undefined;
  }
}

await serve((): Promise<Engine> => {
  ort.env.logLevel = "error";
  return Promise.resolve({ prepare });
});
