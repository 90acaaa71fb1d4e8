// needs: turn, workgroup
// Rotary position embedding (Su et al., arXiv 2104.09864), half-split as in Hugging Face's rotate_half, in place:
//   (a, b) = (x[d], x[d + D/2]);  x[d] = a cos - b sin;  x[d + D/2] = b cos + a sin;  angle = position * theta^(-2d/D)
// qkv (T, (H + 2J) D): the first H + J heads are turned, the values are left alone. positions (T); frequencies (D) in
// 2^-32 turns, see lib/turn. D is a multiple of 4.
// One lane turns two dimensions of all heads of a token, so that cosine and sine are computed once.

struct Params {
    tokens: u32,     // T
    heads: u32,      // H + J
    row: u32,        // (H + 2J) D / 2
    quarter: u32,    // D / 4
    inverse: u32,    // 1: turn back
}

override LANES: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> frequencies: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> qkv: array<vec2f>;

@compute @workgroup_size(LANES)
fn rotate(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(group) * LANES + lane;
    let token = id / params.quarter;
    let d = id % params.quarter;
    if (token >= params.tokens) { return; }
    let fractions = positions[token] * frequencies[d];
    let even = turn(fractions.x);
    let odd = turn(fractions.y);
    let cosine = vec2f(even.x, odd.x);
    let sine = select(vec2f(even.y, odd.y), -vec2f(even.y, odd.y), params.inverse != 0u);
    var at = token * params.row + d;
    for (var head = 0u; head < params.heads; head++) {
        let a = qkv[at];
        let b = qkv[at + params.quarter];
        qkv[at] = a * cosine - b * sine;
        qkv[at + params.quarter] = b * cosine + a * sine;
        at += 2u * params.quarter;
    }
}
