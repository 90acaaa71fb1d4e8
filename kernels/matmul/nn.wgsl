// needs: lane_tile, two_sums, put, pack, stored
// out[M, N] = a[M, K] · b[K, N]: the gradient of a linear layer's input, with b its weight; eight columns to a lane. K is a
// multiple of 4, N of 8, M is arbitrary.

@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;

const LANE_COLUMNS = 8u;
const INNER_STEP = 4u;

override BLOCK_ROWS: u32 = LANES;

alias Held = vec4f;

// Lanes beyond the last row repeat it.
fn a_start(at: Place, block: u32) -> u32 {
    return min(at.row + LANES * block + at.lane, params.rows - 1u) * (params.inner / 4u);
}

fn load_a(start: u32, step: u32) -> Held { return a[start + step]; }

fn b_source(at: Place) -> u32 { return at.source; }

// What is added to is where the sum begins: cut into several products, it has the same terms in the same order.
fn first_sums(at: Place, row: u32) -> Sums { return sums_before(at, row); }

// The lane's columns at four inner steps: the even and the odd columns.
struct Parts {
    even: mat4x4f,
    odd: mat4x4f,
}

fn load_b(source: u32, step: u32, at: Place) -> Parts {
    let i = source + 4u * step * at.stride;
    let b0 = b[i];
    let b1 = b[i + at.stride];
    let b2 = b[i + 2u * at.stride];
    let b3 = b[i + 3u * at.stride];
    return Parts(
        mat4x4f(stored_even(b0), stored_even(b1), stored_even(b2), stored_even(b3)),
        mat4x4f(stored_odd(b0), stored_odd(b1), stored_odd(b2), stored_odd(b3)),
    );
}

fn add_step(sums: Sums, held: Held, parts: Parts) -> Sums {
    let rows = spread(held);
    return Sums(add(sums.a, rows, parts.even), add(sums.b, rows, parts.odd));
}
