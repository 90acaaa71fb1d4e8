/**
 * jax-js (https://github.com/ekzhang/jax-js) as it is meant to be used: everything under `jit`.
 *
 * Gradient and Adam are one `jit` each. Gather has no gradient in jax-js, so embeddings are products with one-hot rows.
 */

import { defaultDevice, init, jit, nn, numpy as np, random, tree, valueAndGrad } from "@jax-js/jax";
import { type Engine, type Ready, serve } from "../harness/worker.ts";
import {
  COMPARED,
  type GenerateItem,
  type GptShape,
  inputTokens,
  inputValues,
  type Item,
  type StepItem,
} from "../harness/work_items.ts";

type A = np.Array;
type Layer = { norm1: A; qkv: A; out: A; norm2: A; up: A; down: A };
type Gpt = { tokens: A; positions: A; layers: Layer[]; norm: A };

const matrix = (rows: number, columns: number, scale = 1) =>
  np.array(inputValues(rows * columns).map((v) => v * scale)).reshape([rows, columns]);

function gpt({ width: C, layers, vocabulary }: GptShape, context: number): Gpt {
  const linear = (rows: number, columns: number) => matrix(rows, columns, 0.3 / Math.sqrt(rows));
  return {
    tokens: linear(vocabulary, C),
    positions: linear(context, C),
    layers: Array.from({ length: layers }, () => ({
      norm1: np.ones([C]),
      qkv: linear(C, 3 * C),
      out: linear(C, C),
      norm2: np.ones([C]),
      up: linear(C, 4 * C),
      down: linear(4 * C, C),
    })),
    norm: np.ones([C]),
  };
}

/** Logits (B * T, V) of one-hot tokens (B * T, V). */
function forward(p: Gpt, oneHot: A, { heads }: GptShape, [B, T]: [number, number]): A {
  const C = p.tokens.shape[1]!;
  let x = np.matmul(oneHot, p.tokens.ref).reshape([B, T, C]).add(p.positions).reshape([B * T, C]);
  for (const layer of p.layers) {
    const qkv = np.matmul(nn.standardize(x.ref).mul(layer.norm1), layer.qkv);
    const [q, k, v] = np.split(qkv, 3, -1).map((part: A) => part.reshape([B, T, heads, C / heads]));
    const attended = nn.dotProductAttention(q!, k!, v!, { isCausal: true }).reshape([B * T, C]);
    x = x.add(np.matmul(attended, layer.out));
    const hidden = nn.gelu(np.matmul(nn.standardize(x.ref).mul(layer.norm2), layer.up));
    x = x.add(np.matmul(hidden, layer.down));
  }
  return np.matmul(nn.standardize(x).mul(p.norm), p.tokens.transpose());
}

function step(item: StepItem): Ready {
  const { batch, context, vocabulary } = item;
  const n = batch * context;
  const ids = np.array(inputTokens(n, vocabulary), { dtype: np.int32 });
  const next = np.array(inputTokens(n + 1, vocabulary).slice(1), { dtype: np.int32 });
  const gradient = jit(valueAndGrad((p: Gpt, ids: A, next: A) => {
    const logits = forward(p, nn.oneHot(ids, vocabulary), item, [batch, context]);
    return nn.logSoftmax(logits, -1).mul(nn.oneHot(next, vocabulary)).sum().mul(-1 / n);
  }));
  type State = { p: Gpt; m: Gpt; v: Gpt };
  const adam = jit(({ p, m, v }: State, g: Gpt, rate: A) => {
    const m2 = tree.map((m: A, g: A) => m.mul(0.9).add(g.mul(0.1)), m, tree.ref(g)) as Gpt;
    const v2 = tree.map((v: A, g: A) => v.mul(0.999).add(np.square(g).mul(0.001)), v, g) as Gpt;
    const p2 = tree.map(
      (p: A, m: A, v: A) => p.sub(m.div(np.sqrt(v).add(1e-8)).mul(rate.ref)),
      p,
      tree.ref(m2),
      tree.ref(v2),
    ) as Gpt;
    rate.dispose();
    return { p: p2, m: m2, v: v2 };
  });
  let state: State = {
    p: gpt(item, context),
    m: tree.map((x: A) => np.zeros(x.shape), gptLike(item, context)) as Gpt,
    v: tree.map((x: A) => np.zeros(x.shape), gptLike(item, context)) as Gpt,
  };
  let t = 0;
  return {
    run: async () => {
      t++;
      const [loss, g] = gradient(tree.ref(state.p), ids.ref, next.ref);
      const rate = 1e-3 * Math.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t);
      state = adam(state, g, np.array(rate)) as State;
      // The loss and the last parameter: everything is submitted in order.
      await Promise.all(tree.leaves(state).map((leaf) => (leaf as A).blockUntilReady()));
      const [value] = await loss.data();
      if (!Number.isFinite(value)) throw new Error(`loss ${value}`);
    },
    dispose: () => tree.dispose(state),
  };
}

/** Parameters of the same shapes, for their shapes. */
function gptLike(shape: GptShape, context: number): Gpt {
  return gpt(shape, context);
}

/** Without a cache every token is a forward pass over the whole context; all of them cost the same. */
function generate(item: GenerateItem): Ready {
  const { sequences, context, prompt, vocabulary } = item;
  const parameters = gpt(item, context);
  const ids = np.array(inputTokens(sequences * context, vocabulary), { dtype: np.int32 });
  const draw = jit((p: Gpt, ids: A, key: A) => {
    const logits = forward(p, nn.oneHot(ids, vocabulary), item, [sequences, context]);
    const last = logits.reshape([sequences, context, vocabulary]).slice([], -1);
    return random.categorical(key, last);
  });
  let seed = 0;
  return {
    standsFor: context - prompt,
    note: "no cache; one token measured, the others cost the same",
    run: async () => {
      const drawn = draw(tree.ref(parameters), ids.ref, random.key(seed++));
      await drawn.data();
    },
    dispose: () => tree.dispose(parameters),
  };
}

function prepare(item: Item): Ready {
  const once = (f: (...inputs: A[]) => A, ...inputs: A[]): Ready => {
    const compiled = jit(f);
    const call = () => compiled(...inputs.map((x) => x.ref)) as A;
    return {
      run: async () => {
        const y = call();
        await y.blockUntilReady();
        y.dispose();
      },
      results: async () => Array.from((await call().data()).subarray(0, COMPARED)),
      dispose: () => inputs.forEach((x) => x.dispose()),
    };
  };
  switch (item.kind) {
    case "matmul": {
      const { layout, m, k, n } = item;
      const a = layout === "tn" ? matrix(k, m) : matrix(m, k);
      const b = layout === "nt" ? matrix(n, k) : matrix(k, n);
      return once(
        (a, b) =>
          np.matmul(layout === "tn" ? a.transpose() : a, layout === "nt" ? b.transpose() : b),
        a,
        b,
      );
    }
    case "softmax":
      return once((x) => nn.softmax(x, -1), matrix(item.rows, item.columns));
    case "sum":
      return sum(item.n);
    case "step":
      return step(item);
    case "generate":
      return generate(item);
  }
}

/**
 * A sum in two steps. In one, jax-js gives each of 64 lanes a loop over its share, and llvmpipe leaves loops after 65535
 * turns: beyond 4 M numbers the result is wrong there.
 */
function sum(n: number): Ready {
  const x = np.array(inputValues(n)).reshape([4096, n / 4096]);
  const rows = jit((x: A) => x.sum(-1));
  const total = jit((x: A) => x.sum());
  const call = () => total(rows(x.ref)) as A;
  return {
    note: "rows, then their sums: in one step the result is wrong on llvmpipe",
    run: async () => {
      const y = call();
      await y.blockUntilReady();
      y.dispose();
    },
    results: async () => Array.from(await call().data()),
    dispose: () => x.dispose(),
  };
}

await serve(async (): Promise<Engine> => {
  await init("webgpu");
  defaultDevice("webgpu");
  return { prepare };
});
