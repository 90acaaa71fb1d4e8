// Attention of one new token per sequence, with the rotary embedding and the growth of the cache fused in.
// Row a of qkv (A, (H + 2J) D), not yet rotated, is token t = lengths[b] - 1 of sequence b = slots[a], at position
// prompt + t. It attends to the rows prompt_ranges[b] of prompt_qkv (., (H + 2J) D), rotated; to cache[b, 0 .. t - 1],
// cache (B, M, 2, J D) with keys before values; and to itself. Its rotated key and its value go to cache[b, t].
// out (A, H D). Rows with finished[b] != 0 are left alone. D = 4 HEAD_VECS.
// A workgroup is a row and SHARE query heads of one key/value head, a lane takes every LANES-th key; their partial
// results (FlashAttention-2's online softmax, in units of log 2) are merged at the end. Arrays are registers.

struct Params {
    rows: u32,         // A
    heads: u32,        // H
    key_heads: u32,    // J
    max_length: u32,   // M
    scale: f32,        // 1 / sqrt(D)
}

override HEAD_VECS: u32 = 4u;
override SHARE: u32 = 1u;       // divides H / J; HEAD_VECS * SHARE is at most MAX_VECS

const MAX_VECS = 32u;
const MAX_SHARE = 16u;
const LOG2E = 1.4426950408889634;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> prompt_qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> prompt_ranges: array<u32>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;
@group(0) @binding(6) var<storage, read> finished: array<u32>;
@group(0) @binding(7) var<storage, read> frequencies: array<vec4u>;   // (D), see rope/turn.wgsl
@group(0) @binding(8) var<storage, read_write> cache: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> out: array<vec4f>;

// Dimensions 4c … 4c + 3 of the head that begins at `at`, rotated.
fn rotated(at: u32, c: u32, position: u32) -> vec4f {
    let own = qkv[at + c];
    // The partner of each dimension is D/2 away; for odd HEAD_VECS it straddles two vectors.
    let i = select(c + HEAD_VECS / 2u, c - (HEAD_VECS + 1u) / 2u, c >= (HEAD_VECS + 1u) / 2u);
    var partner = qkv[at + i];
    if (HEAD_VECS % 2u == 1u) {
        partner = vec4f(partner.zw, qkv[at + select(i + 1u, 0u, i + 1u == HEAD_VECS)].xy);
    }
    let fractions = position * frequencies[c];
    let x = turn(fractions.x);
    let y = turn(fractions.y);
    let z = turn(fractions.z);
    let w = turn(fractions.w);
    let sine = vec4f(x.y, y.y, z.y, w.y);
    let first_half = vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(2u * HEAD_VECS);
    return own * vec4f(x.x, y.x, z.x, w.x) + partner * select(sine, -sine, first_half);
}

@compute @workgroup_size(LANES)
fn decode(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = wid.x + wid.y * nwg.x;
    let parts = params.heads / SHARE;
    let a = id / parts;
    if (a >= params.rows) { return; }
    let b = slots[a];
    if (finished[b] != 0u) { return; }
    let t = lengths[b] - 1u;
    let prompt_begin = prompt_ranges[2u * b];
    let prompt_end = prompt_ranges[2u * b + 1u];
    let position = prompt_end - prompt_begin + t;

    let group = params.heads / params.key_heads;
    let head = (id % parts) * SHARE;
    let key_head = head / group;
    let row = (params.heads + 2u * params.key_heads) * HEAD_VECS;
    let key_column = (params.heads + key_head) * HEAD_VECS;
    let value_offset = params.key_heads * HEAD_VECS;
    let query_at = a * row + head * HEAD_VECS;
    let key_at = a * row + key_column;
    let cache_row = 2u * value_offset;
    let cache_begin = b * params.max_length * cache_row + key_head * HEAD_VECS;
    let appends = head % group == 0u;

    var q: array<vec4f, MAX_VECS>;
    var total: array<vec4f, MAX_VECS>;
    var largest: array<f32, MAX_SHARE>;
    var weight: array<f32, MAX_SHARE>;
    for (var h = 0u; h < SHARE; h++) {
        largest[h] = 0.0;
        weight[h] = select(0.0, 1.0, lane == 0u);
    }
    // The token itself: every lane knows its score, lane 0 accounts for it.
    for (var base = 0u; base < HEAD_VECS; base += LANES) {
        let mine = min(base + lane, HEAD_VECS - 1u);
        let held_key = rotated(key_at, mine, position);
        let held_value = qkv[key_at + value_offset + mine];
        if (appends && base + lane < HEAD_VECS) {
            cache[cache_begin + t * cache_row + mine] = held_key;
            cache[cache_begin + t * cache_row + value_offset + mine] = held_value;
        }
        for (var h = 0u; h < SHARE; h++) {
            let head_at = query_at + h * HEAD_VECS;
            let held = rotated(head_at, mine, position);
            for (var source = 0u; source < min(LANES, HEAD_VECS); source++) {
                let c = base + source;
                if (c < HEAD_VECS) {
                    let x = rotated_of(held, source, head_at, c, position) * (params.scale * LOG2E);
                    largest[h] += dot(x, rotated_of(held_key, source, key_at, c, position));
                    q[h * HEAD_VECS + c] = x;
                    total[h * HEAD_VECS + c] = weight[h]
                        * value_of(held_value, source, key_at + value_offset, c);
                }
            }
        }
    }

    var score: array<f32, MAX_SHARE>;
    for (var n = prompt_begin + lane; n < prompt_end; n += LANES) {
        let at = n * row + key_column;
        for (var h = 0u; h < SHARE; h++) { score[h] = 0.0; }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let k = prompt_qkv[at + c];
            for (var h = 0u; h < SHARE; h++) { score[h] += dot(q[h * HEAD_VECS + c], k); }
        }
        for (var h = 0u; h < SHARE; h++) {
            let before = largest[h];
            largest[h] = max(before, score[h]);
            let shrink = exp2(before - largest[h]);
            score[h] = exp2(score[h] - largest[h]);
            weight[h] = weight[h] * shrink + score[h];
            for (var c = 0u; c < HEAD_VECS; c++) { total[h * HEAD_VECS + c] *= shrink; }
        }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let v = prompt_qkv[at + value_offset + c];
            for (var h = 0u; h < SHARE; h++) { total[h * HEAD_VECS + c] += score[h] * v; }
        }
    }
    for (var n = lane; n < t; n += LANES) {
        let at = cache_begin + n * cache_row;
        for (var h = 0u; h < SHARE; h++) { score[h] = 0.0; }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let k = cache[at + c];
            for (var h = 0u; h < SHARE; h++) { score[h] += dot(q[h * HEAD_VECS + c], k); }
        }
        for (var h = 0u; h < SHARE; h++) {
            let before = largest[h];
            largest[h] = max(before, score[h]);
            let shrink = exp2(before - largest[h]);
            score[h] = exp2(score[h] - largest[h]);
            weight[h] = weight[h] * shrink + score[h];
            for (var c = 0u; c < HEAD_VECS; c++) { total[h * HEAD_VECS + c] *= shrink; }
        }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let v = cache[at + value_offset + c];
            for (var h = 0u; h < SHARE; h++) { total[h * HEAD_VECS + c] += score[h] * v; }
        }
    }

    for (var h = 0u; h < SHARE; h++) {
        let level = team_max(largest[h], lane);
        let shrink = exp2(largest[h] - level);
        let share = shrink / team_sum(weight[h] * shrink, lane);
        for (var c = 0u; c < HEAD_VECS; c++) {
            let sum = sum_over_lanes(total[h * HEAD_VECS + c] * share, lane);
            if (lane == c % LANES) { out[(a * params.heads + head + h) * HEAD_VECS + c] = sum; }
        }
    }
}
