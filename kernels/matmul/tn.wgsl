// out[M, N] = a[K, M]ᵀ · b[K, N]: the gradient of a linear layer's weight, summed over K tokens. For devices with subgroups
// of at least 8 lanes; see rows.wgsl, which is appended. M and N are multiples of 4, K is arbitrary.
// rows<R>: one workgroup per tile of R x 32 outputs.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

override ACCUMULATE: bool = false;   // add to out

fn put(at: Place, row: u32, sum: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        if (ACCUMULATE) { out[i] += sum; } else { out[i] = sum; }
    }
}

// Four rows' values at four tokens, a column per row; zeros beyond the last token.
fn load_pieces(token: u32, column: u32) -> mat4x4f {
    return transpose(mat4x4f(
        load_piece(token, column),
        load_piece(token + 1u, column),
        load_piece(token + 2u, column),
        load_piece(token + 3u, column),
    ));
}

fn load_piece(token: u32, column: u32) -> vec4f {
    let i = min(token, params.inner - 1u) * (params.rows / 4u) + column;
    return select(vec4f(), a[i], token < params.inner);
}

// Four columns at four tokens. Those beyond the last token repeat it: their factor is zero.
fn load_parts(token: u32, at: Place) -> mat4x4f {
    return mat4x4f(
        load_part(token, at),
        load_part(token + 1u, at),
        load_part(token + 2u, at),
        load_part(token + 3u, at),
    );
}

fn load_part(token: u32, at: Place) -> vec4f {
    return b[min(token, params.inner - 1u) * at.stride + at.source];
}

// Like add_steps, for the eight rows whose values a lane and the next one hold.
fn add_tokens(sum: Rows, pieces: mat4x4f, lane: u32, parts: mat4x4f) -> Rows {
    return Rows(
        sum.r0 + parts * subgroupShuffle(pieces[0], lane),
        sum.r1 + parts * subgroupShuffle(pieces[1], lane),
        sum.r2 + parts * subgroupShuffle(pieces[2], lane),
        sum.r3 + parts * subgroupShuffle(pieces[3], lane),
        sum.r4 + parts * subgroupShuffle(pieces[0], lane + 1u),
        sum.r5 + parts * subgroupShuffle(pieces[1], lane + 1u),
        sum.r6 + parts * subgroupShuffle(pieces[2], lane + 1u),
        sum.r7 + parts * subgroupShuffle(pieces[3], lane + 1u),
    );
}

@compute @workgroup_size(8)
fn rows32(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 32u, lane);
    let last = params.rows / 4u - 1u;
    let a0 = min(at.row / 4u + lane, last);
    var s0 = Rows();
    var s1 = Rows();
    var s2 = Rows();
    var s3 = Rows();
    for (var token = 0u; token < params.inner; token += 4u) {
        let parts = load_parts(token, at);
        let pieces = load_pieces(token, a0);
        s0 = add_tokens(s0, pieces, 0u, parts);
        s1 = add_tokens(s1, pieces, 2u, parts);
        s2 = add_tokens(s2, pieces, 4u, parts);
        s3 = add_tokens(s3, pieces, 6u, parts);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
}

@compute @workgroup_size(8)
fn rows64(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 64u, lane);
    let last = params.rows / 4u - 1u;
    let a0 = min(at.row / 4u + lane, last);
    let a1 = min(at.row / 4u + 8u + lane, last);
    var s0 = Rows();
    var s1 = Rows();
    var s2 = Rows();
    var s3 = Rows();
    var s4 = Rows();
    var s5 = Rows();
    var s6 = Rows();
    var s7 = Rows();
    for (var token = 0u; token < params.inner; token += 4u) {
        let parts = load_parts(token, at);
        let pieces0 = load_pieces(token, a0);
        let pieces1 = load_pieces(token, a1);
        s0 = add_tokens(s0, pieces0, 0u, parts);
        s1 = add_tokens(s1, pieces0, 2u, parts);
        s2 = add_tokens(s2, pieces0, 4u, parts);
        s3 = add_tokens(s3, pieces0, 6u, parts);
        s4 = add_tokens(s4, pieces1, 0u, parts);
        s5 = add_tokens(s5, pieces1, 2u, parts);
        s6 = add_tokens(s6, pieces1, 4u, parts);
        s7 = add_tokens(s7, pieces1, 6u, parts);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
    put_rows(at, at.row + 32u, s4);
    put_rows(at, at.row + 40u, s5);
    put_rows(at, at.row + 48u, s6);
    put_rows(at, at.row + 56u, s7);
}
