// out[M, N] = a[K, M]ᵀ · b[K, N]: the gradient of a linear layer's weight, summed over K tokens. For devices with subgroups
// of at least 8 lanes; rows.wgsl and eight_*.wgsl are appended. M and N are multiples of 8, K is arbitrary.
// rows32: one workgroup per tile of 32 x 64 outputs, eight columns to a lane. The tokens are cut into `splits` ranges of
// `split_inner` tokens, so that what a range reads stays in the cache for all its tiles. With more than one, out holds
// (splits, M, N) and partial_sums adds them up.

struct Params {
    rows: u32,          // M
    columns: u32,       // N
    inner: u32,         // K
    splits: u32,
    split_inner: u32,   // tokens per split
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Eight>;
@group(0) @binding(2) var<storage, read> b: array<Eight>;
@group(0) @binding(3) var<storage, read_write> out: array<Eight>;

override ACCUMULATE: bool = false;   // add to out

// The lane's columns at four tokens: the even and the odd columns.
struct Parts {
    even: mat4x4f,
    odd: mat4x4f,
}

// Tokens beyond the last one repeat it: their factor is zero.
fn load_part(token: u32, at: Place) -> Eight {
    return b[min(token, params.inner - 1u) * at.stride + at.source];
}

fn load_parts(token: u32, at: Place) -> Parts {
    let b0 = load_part(token, at);
    let b1 = load_part(token + 1u, at);
    let b2 = load_part(token + 2u, at);
    let b3 = load_part(token + 3u, at);
    return Parts(
        mat4x4f(even(b0), even(b1), even(b2), even(b3)),
        mat4x4f(odd(b0), odd(b1), odd(b2), odd(b3)),
    );
}

// Eight rows of a at one token: the even and the odd rows; zeros beyond the last token.
struct Piece {
    even: vec4f,
    odd: vec4f,
}

fn load_piece(token: u32, column: u32) -> Piece {
    let eight = a[min(token, params.inner - 1u) * (params.rows / 8u) + column];
    let inside = token < params.inner;
    return Piece(select(vec4f(), even(eight), inside), select(vec4f(), odd(eight), inside));
}

// Lanes 0 to 3 hold 32 rows at one token, lanes 4 to 7 at the next, in p; the two tokens after them in q.
fn four_tokens(p: f32, q: f32, lane: u32) -> vec4f {
    return vec4f(
        subgroupShuffle(p, lane),
        subgroupShuffle(p, lane + 4u),
        subgroupShuffle(q, lane),
        subgroupShuffle(q, lane + 4u),
    );
}

fn spread_lane(p: Piece, q: Piece, lane: u32) -> Rows {
    return Rows(
        four_tokens(p.even.x, q.even.x, lane),
        four_tokens(p.odd.x, q.odd.x, lane),
        four_tokens(p.even.y, q.even.y, lane),
        four_tokens(p.odd.y, q.odd.y, lane),
        four_tokens(p.even.z, q.even.z, lane),
        four_tokens(p.odd.z, q.odd.z, lane),
        four_tokens(p.even.w, q.even.w, lane),
        four_tokens(p.odd.w, q.odd.w, lane),
    );
}

// Running sums of eight rows and eight columns: the even and the odd columns.
struct Sums {
    even: Rows,
    odd: Rows,
}

fn put(at: Place, split: u32, row: u32, evens: vec4f, odds: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = (split * params.rows + row) * at.stride + at.column;
        if (ACCUMULATE) {
            let before = out[i];
            out[i] = join(even(before) + evens, odd(before) + odds);
        } else {
            out[i] = join(evens, odds);
        }
    }
}

fn put_rows(at: Place, split: u32, row: u32, sums: Sums) {
    put(at, split, row, sums.even.r0, sums.odd.r0);
    put(at, split, row + 1u, sums.even.r1, sums.odd.r1);
    put(at, split, row + 2u, sums.even.r2, sums.odd.r2);
    put(at, split, row + 3u, sums.even.r3, sums.odd.r3);
    put(at, split, row + 4u, sums.even.r4, sums.odd.r4);
    put(at, split, row + 5u, sums.even.r5, sums.odd.r5);
    put(at, split, row + 6u, sums.even.r6, sums.odd.r6);
    put(at, split, row + 7u, sums.even.r7, sums.odd.r7);
}

fn add_four(sums: Sums, rows: Rows, parts: Parts) -> Sums {
    return Sums(add(sums.even, rows, parts.even), add(sums.odd, rows, parts.odd));
}

@compute @workgroup_size(8)
fn rows32(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tiles = ((params.rows + 31u) / 32u) * ((params.columns + 63u) / 64u);
    let at = place((wid.x + wid.y * nwg.x) % tiles, 32u, 8u, lane);
    let split = (wid.x + wid.y * nwg.x) / tiles;
    if (split >= params.splits) { return; }
    let first = split * params.split_inner;
    let steps = (min(params.split_inner, params.inner - min(first, params.inner)) + 3u) / 4u;
    let column = min(at.row / 8u + lane % 4u, params.rows / 8u - 1u);
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    for (var step = 0u; step < steps; step++) {
        let token = first + 4u * step;
        let parts = load_parts(token, at);
        let p = load_piece(token + lane / 4u, column);
        let q = load_piece(token + 2u + lane / 4u, column);
        s0 = add_four(s0, spread_lane(p, q, 0u), parts);
        s1 = add_four(s1, spread_lane(p, q, 1u), parts);
        s2 = add_four(s2, spread_lane(p, q, 2u), parts);
        s3 = add_four(s3, spread_lane(p, q, 3u), parts);
    }
    put_rows(at, split, at.row, s0);
    put_rows(at, split, at.row + 8u, s1);
    put_rows(at, split, at.row + 16u, s2);
    put_rows(at, split, at.row + 24u, s3);
}
