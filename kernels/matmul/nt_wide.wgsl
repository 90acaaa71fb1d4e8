// needs: nt_loads, two_sums, put
// out[M, N] = a[M, K] · b[N, K]ᵀ (+ bias[N]) as matmul/nt, but with eight columns to a lane: it stores eight values at a
// time, which counts where K is small. N is a multiple of 8.

@group(0) @binding(3) var<storage, read> bias: array<Pack>;

override BIAS: bool = false;   // sums begin with bias

const LANE_COLUMNS = 8u;

fn first_sums(at: Place, row: u32) -> Sums {
    if (BIAS) {
        let first = bias[at.source];
        return Sums(all_rows(even(first)), all_rows(odd(first)));
    }
    return sums_before(at, row);
}

// The even and the odd columns.
struct Parts {
    even: Columns,
    odd: Columns,
}

fn load_b(source: u32, step: u32, at: Place) -> Parts {
    let stride = params.inner / 8u;
    return Parts(
        load_columns(source + step, 2u * stride),
        load_columns(source + stride + step, 2u * stride),
    );
}

fn add_step(sums: Sums, held: Held, parts: Parts) -> Sums {
    let steps = spread_both(held);
    return Sums(add_columns(sums.a, steps, parts.even), add_columns(sums.b, steps, parts.odd));
}
