// needs: lane_tile, two_sums, put, pack
// out[M, N] = a[K, M]ᵀ · b[K, N]: the gradient of a linear layer's weight, summed over K tokens; eight columns to a lane, and
// tiles of four rows to a lane. M and N are multiples of 8, K is arbitrary. What a range of tokens reads stays in the cache for all its
// tiles; partial_sums adds the ranges up.

@group(0) @binding(1) var<storage, read> a: array<Pack>;
@group(0) @binding(2) var<storage, read> b: array<Pack>;

const LANE_COLUMNS = 8u;
const INNER_STEP = 4u;
const BLOCK_ROWS = 8u;

override HALF: u32 = LANES / 2u;

fn first_sums(at: Place, row: u32) -> Sums { return sums_before(at, row); }

// Eight rows of a at one token: the even and the odd rows; zeros beyond the last token.
struct RowsOfToken {
    even: vec4f,
    odd: vec4f,
}

// At four tokens, the lane's columns: the even and the odd ones. The lanes of the first half hold all rows of the
// tile at one token, those of the second half at the next, in p; the two tokens after them in q.
struct Parts {
    even: mat4x4f,
    odd: mat4x4f,
    p: RowsOfToken,
    q: RowsOfToken,
}

// The part of a that a lane loads is the same for all rows of the tile: its first eight of them.
fn b_source(at: Place) -> u32 { return min(at.row / 8u + at.lane % HALF, params.rows / 8u - 1u); }

fn load_rows(token: u32, column: u32) -> RowsOfToken {
    let rows = a[min(token, params.inner - 1u) * (params.rows / 8u) + column];
    let inside = token < params.inner;
    return RowsOfToken(select(vec4f(), even(rows), inside), select(vec4f(), odd(rows), inside));
}

// Tokens beyond the last one repeat it: their factor is zero.
fn load_columns(token: u32, at: Place) -> Pack {
    return b[min(token, params.inner - 1u) * at.stride + at.source];
}

fn load_b(source: u32, step: u32, at: Place) -> Parts {
    let token = 4u * step;
    let b0 = load_columns(token, at);
    let b1 = load_columns(token + 1u, at);
    let b2 = load_columns(token + 2u, at);
    let b3 = load_columns(token + 3u, at);
    return Parts(
        mat4x4f(even(b0), even(b1), even(b2), even(b3)),
        mat4x4f(odd(b0), odd(b1), odd(b2), odd(b3)),
        load_rows(token + at.lane / HALF, source),
        load_rows(token + 2u + at.lane / HALF, source),
    );
}

// Which eight rows of the tile: those that lanes `block` and `block + HALF` have loaded.
alias Held = u32;

fn a_start(at: Place, block: u32) -> u32 { return block; }

fn load_a(start: u32, step: u32) -> Held { return start; }

fn four_tokens(p: f32, q: f32, block: u32) -> vec4f {
    return vec4f(
        subgroupShuffle(p, block),
        subgroupShuffle(p, block + HALF),
        subgroupShuffle(q, block),
        subgroupShuffle(q, block + HALF),
    );
}

fn add_step(sums: Sums, block: Held, parts: Parts) -> Sums {
    let rows = Rows(
        four_tokens(parts.p.even.x, parts.q.even.x, block),
        four_tokens(parts.p.odd.x, parts.q.odd.x, block),
        four_tokens(parts.p.even.y, parts.q.even.y, block),
        four_tokens(parts.p.odd.y, parts.q.odd.y, block),
        four_tokens(parts.p.even.z, parts.q.even.z, block),
        four_tokens(parts.p.odd.z, parts.q.odd.z, block),
        four_tokens(parts.p.even.w, parts.q.even.w, block),
        four_tokens(parts.p.odd.w, parts.q.odd.w, block),
    );
    return Sums(add(sums.a, rows, parts.even), add(sums.b, rows, parts.odd));
}
