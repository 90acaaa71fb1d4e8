// needs: lane_tile, one_sum, strides, pack, stored
// out[M, N] = op(a)[M, K] · op(b)[K, N] (+ bias[N]) with any sizes and strides, element by element.

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

override ACCUMULATE: bool = false;   // sums begin with out
override BIAS: bool = false;         // and with bias

const LANE_COLUMNS = 4u;
const INNER_STEP = 4u;

override BLOCK_ROWS: u32 = LANES;

// The lane's four columns; those beyond the last one repeat it.
fn b_source(at: Place) -> vec4u {
    return min(4u * at.column + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
}

fn first_sums(at: Place, row: u32) -> Sums {
    let columns = b_source(at);
    var first = vec4f();
    if (BIAS) { first = vec4f(bias[columns.x], bias[columns.y], bias[columns.z], bias[columns.w]); }
    if (!ACCUMULATE) { return all_rows(first); }
    return Rows(
        first + before(row, columns),
        first + before(row + 1u, columns),
        first + before(row + 2u, columns),
        first + before(row + 3u, columns),
        first + before(row + 4u, columns),
        first + before(row + 5u, columns),
        first + before(row + 6u, columns),
        first + before(row + 7u, columns),
    );
}

fn before(row: u32, columns: vec4u) -> vec4f {
    let i = min(row, params.rows - 1u) * params.columns + columns;
    return vec4f(out[i.x], out[i.y], out[i.z], out[i.w]);
}

alias Held = vec4f;

// Lanes beyond the last row repeat it.
fn a_start(at: Place, block: u32) -> u32 {
    return min(at.row + LANES * block + at.lane, params.rows - 1u) * a_row();
}

// Four inner steps of a row; zeros beyond the last one.
fn load_a(start: u32, step: u32) -> Held {
    let last = params.inner - 1u;
    let steps = 4u * step + vec4u(0u, 1u, 2u, 3u);
    let i = start + min(steps, vec4u(last)) * a_inner();
    return select(vec4f(), vec4f(a[i.x], a[i.y], a[i.z], a[i.w]), steps <= vec4u(last));
}

alias Parts = mat4x4f;

// The columns at four inner steps. Those beyond the last step repeat it: their factor is zero.
fn load_b(columns: vec4u, step: u32, at: Place) -> Parts {
    return mat4x4f(
        load_part(columns, 4u * step),
        load_part(columns, 4u * step + 1u),
        load_part(columns, 4u * step + 2u),
        load_part(columns, 4u * step + 3u),
    );
}

fn load_part(columns: vec4u, step: u32) -> vec4f {
    let i = columns * b_column() + min(step, params.inner - 1u) * b_inner();
    return vec4f(weight(i.x), weight(i.y), weight(i.z), weight(i.w));
}

fn add_step(sums: Sums, held: Held, parts: Parts) -> Sums {
    return add(sums, spread(held), parts);
}

fn put(at: Place, row: u32, sum: vec4f) {
    if (row < params.rows) {
        let column = 4u * at.column;
        let i = row * params.columns + column;
        put_one(i, column, sum.x);
        put_one(i + 1u, column + 1u, sum.y);
        put_one(i + 2u, column + 2u, sum.z);
        put_one(i + 3u, column + 3u, sum.w);
    }
}

fn put_one(i: u32, column: u32, sum: f32) {
    if (column < params.columns) { out[i] = sum; }
}
