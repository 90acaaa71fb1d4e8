// needs: nt_loads, two_sums
// out[M, N] = silu(gate) * up, with gate and up the left and right half of a[M, K] · b[2N, K]ᵀ: the first linear layer of a
// feed-forward with SwiGLU (Shazeer 2020) behind it. pairs[M, N, 2] holds each gate with its up for the gradient: a store of
// eight costs what a store of four does; where there is no gradient it is too short, and they are left out. So one pipeline
// serves both. Four gates and their ups to a lane; N is a multiple of 4.

@group(0) @binding(3) var<storage, read_write> pairs: array<Pack>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

const LANE_COLUMNS = 4u;

fn first_sums(at: Place, row: u32) -> Sums { return Sums(); }

struct Parts {
    gate: Columns,
    up: Columns,
}

fn load_b(source: u32, step: u32, at: Place) -> Parts {
    let stride = params.inner / 8u;
    return Parts(
        load_columns(source + step, stride),
        load_columns(source + params.columns * stride + step, stride),
    );
}

fn add_step(sums: Sums, held: Held, parts: Parts) -> Sums {
    let steps = spread_both(held);
    return Sums(add_columns(sums.a, steps, parts.gate), add_columns(sums.b, steps, parts.up));
}

fn put(at: Place, row: u32, gate: vec4f, up: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        out[i] = gate / (1.0 + exp(-gate)) * up;
        if (i < arrayLength(&pairs)) { pairs[i] = join(gate, up); }
    }
}
