// provides: nt_loads
// needs: lane_tile, pack, stored
// How products a[M, K] · b[N, K]ᵀ, a linear layer with its weight b as Hugging Face stores it, read both: eight inner steps
// at a time. K is a multiple of 8, M is arbitrary.

@group(0) @binding(1) var<storage, read> a: array<Pack>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;

const INNER_STEP = 8u;

override BLOCK_ROWS: u32 = LANES;

alias Held = Pack;

// Lanes beyond the last row repeat it.
fn a_start(at: Place, block: u32) -> u32 {
    return min(at.row + LANES * block + at.lane, params.rows - 1u) * (params.inner / 8u);
}

fn load_a(start: u32, step: u32) -> Held { return a[start + step]; }

fn b_source(at: Place) -> u32 { return at.source * LANE_COLUMNS * (params.inner / 8u); }

// Eight inner steps of a block of rows of a, or of four rows of b that are columns of the product: the even and the odd steps.
struct Steps {
    even: Rows,
    odd: Rows,
}

struct Columns {
    even: mat4x4f,
    odd: mat4x4f,
}

fn spread_both(held: Held) -> Steps {
    return Steps(spread(even(held)), spread(odd(held)));
}

fn load_columns(i: u32, stride: u32) -> Columns {
    let w0 = b[i];
    let w1 = b[i + stride];
    let w2 = b[i + 2u * stride];
    let w3 = b[i + 3u * stride];
    return Columns(
        transpose(mat4x4f(stored_even(w0), stored_even(w1), stored_even(w2), stored_even(w3))),
        transpose(mat4x4f(stored_odd(w0), stored_odd(w1), stored_odd(w2), stored_odd(w3))),
    );
}

fn add_columns(sum: Rows, steps: Steps, columns: Columns) -> Rows {
    return add(add(sum, steps.even, columns.even), steps.odd, columns.odd);
}
