/**
 * TensorFlow.js with its WebGPU backend, the layers written with its own operations, Adam its own.
 */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";
import { type Engine, type Ready, serve } from "../harness/worker.ts";
import {
  COMPARED,
  type GptShape,
  inputTokens,
  inputValues,
  type Item,
  type StepItem,
} from "../harness/work_items.ts";

const matrix = (rows: number, columns: number, scale = 1) =>
  tf.tensor2d(inputValues(rows * columns).map((v) => v * scale), [rows, columns]);

type V = tf.Variable;
interface Layer {
  norm1: V;
  qkv: V;
  out: V;
  norm2: V;
  up: V;
  down: V;
}
interface Gpt {
  tokens: V;
  positions: V;
  layers: Layer[];
  norm: V;
}

function gpt({ width: C, layers, vocabulary }: GptShape, context: number): Gpt {
  const linear = (rows: number, columns: number) =>
    tf.variable(matrix(rows, columns, 0.3 / Math.sqrt(rows)));
  const ones = () => tf.variable(tf.ones([C]));
  return {
    tokens: linear(vocabulary, C),
    positions: linear(context, C),
    layers: Array.from({ length: layers }, () => ({
      norm1: ones(),
      qkv: linear(C, 3 * C),
      out: linear(C, C),
      norm2: ones(),
      up: linear(C, 4 * C),
      down: linear(4 * C, C),
    })),
    norm: ones(),
  };
}

function norm(x: tf.Tensor, weight: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(weight);
}

/** Logits (B * T, V). */
function forward(
  p: Gpt,
  ids: tf.Tensor1D,
  mask: tf.Tensor,
  { heads }: GptShape,
  [B, T]: [number, number],
): tf.Tensor2D {
  const C = p.tokens.shape[1]!;
  const D = C / heads;
  let x: tf.Tensor = tf.gather(p.tokens, ids).reshape([B, T, C]).add(p.positions)
    .reshape([B * T, C]);
  for (const layer of p.layers) {
    const qkv = tf.matMul(norm(x, layer.norm1), layer.qkv as unknown as tf.Tensor2D);
    const [q, k, v] = tf.split(qkv, 3, -1).map((part) =>
      part.reshape([B, T, heads, D]).transpose([0, 2, 1, 3])
    );
    const scores = tf.matMul(q!, k!, false, true).mul(1 / Math.sqrt(D)).add(mask);
    const attended = tf.matMul(tf.softmax(scores), v!).transpose([0, 2, 1, 3]).reshape([B * T, C]);
    x = x.add(tf.matMul(attended, layer.out));
    const up = tf.matMul(norm(x, layer.norm2), layer.up as unknown as tf.Tensor2D);
    // GELU by its tanh approximation.
    const inner = up.add(up.square().mul(up).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
    x = x.add(tf.matMul(up.mul(inner.tanh().add(1)).mul(0.5), layer.down));
  }
  return tf.matMul(norm(x, p.norm), p.tokens as unknown as tf.Tensor2D, false, true) as tf.Tensor2D;
}

function step(item: StepItem): Ready {
  const { batch, context, vocabulary } = item;
  const n = batch * context;
  const ids = tf.tensor1d(inputTokens(n, vocabulary), "int32");
  const next = tf.oneHot(inputTokens(n + 1, vocabulary).slice(1), vocabulary) as tf.Tensor2D;
  const mask = tf.linalg.bandPart(tf.ones([context, context]), -1, 0).sub(1).mul(1e9);
  const parameters = gpt(item, context);
  const adam = tf.train.adam(1e-3);
  return {
    run: async () => {
      const loss = adam.minimize(() =>
        tf.tidy(() =>
          tf.losses.softmaxCrossEntropy(
            next,
            forward(parameters, ids, mask, item, [batch, context]),
          ) as tf.Scalar
        ), true)!;
      const [value] = await loss.data();
      loss.dispose();
      if (!Number.isFinite(value)) throw new Error(`loss ${value}`);
    },
    dispose: () => tf.disposeVariables(),
  };
}

function prepare(item: Item): Ready | undefined {
  const once = (f: () => tf.Tensor, ...inputs: tf.Tensor[]): Ready => ({
    run: async () => {
      const y = f();
      // One number read is the cheapest way to wait that tfjs has.
      const one = y.size === 1 ? y : y.flatten().slice(0, 1);
      await one.data();
      one.dispose();
      y.dispose();
    },
    results: async () => {
      const y = f();
      const values = await y.flatten().slice(0, Math.min(COMPARED, y.size)).data();
      y.dispose();
      return Array.from(values);
    },
    dispose: () => inputs.forEach((x) => x.dispose()),
  });
  switch (item.kind) {
    case "matmul": {
      const { layout, m, k, n } = item;
      const a = layout === "tn" ? matrix(k, m) : matrix(m, k);
      const b = layout === "nt" ? matrix(n, k) : matrix(k, n);
      return once(() => tf.matMul(a, b, layout === "tn", layout === "nt"), a, b);
    }
    case "softmax": {
      const x = matrix(item.rows, item.columns);
      return once(() => tf.softmax(x), x);
    }
    case "sum": {
      const x = tf.tensor1d(inputValues(item.n));
      return once(() => tf.sum(x), x);
    }
    case "step":
      return step(item);
    case "generate":
      return undefined;
  }
}

await serve(async (): Promise<Engine> => {
  await tf.setBackend("webgpu");
  await tf.ready();
  if (tf.getBackend() !== "webgpu") throw new Error(`tfjs runs on ${tf.getBackend()}`);
  return { prepare };
});
