// needs: nt_loads, one_sum
// out[M, N] = a[M, K] · b[N, K]ᵀ (+ bias[N]), four columns to a lane. N is a multiple of 4.

@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

override ACCUMULATE: bool = false;   // add to out
override BIAS: bool = false;         // sums begin with bias

const LANE_COLUMNS = 4u;

alias Parts = Columns;

fn first_sums(at: Place, row: u32) -> Sums {
    if (BIAS) { return all_rows(bias[at.source]); }
    return Sums();
}

fn load_b(source: u32, step: u32, at: Place) -> Parts {
    return load_columns(source + step, params.inner / 8u);
}

fn add_step(sums: Sums, held: Held, parts: Parts) -> Sums {
    return add_columns(sums, spread_both(held), parts);
}

fn put(at: Place, row: u32, sum: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        if (ACCUMULATE) { out[i] += sum; } else { out[i] = sum; }
    }
}
