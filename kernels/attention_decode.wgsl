// Attention of one new token per sequence, with the rotary embedding and the growth of the cache fused in.
// Row a of qkv (A, (H + 2J) D), not yet rotated, is token t = lengths[b] - 1 of sequence b = slots[a], at position
// prompt + t. It attends to the rows prompt_ranges[b] of prompt_qkv (., (H + 2J) D), rotated; to cache[b, 0 .. t - 1],
// cache (B, M, 2, J D) with keys before values; and to itself. Its rotated key and its value go to cache[b, t].
// out (A, H D). Rows with finished[b] != 0 are left alone. D = 4 HEAD_VECS.
// A workgroup is a row and SHARE query heads of one key/value head, a lane takes every LANES-th key; their partial
// results (online softmax as in attention/forward.wgsl, in units of log 2) are merged at the end.

struct Params {
    rows: u32,         // A
    heads: u32,        // H
    key_heads: u32,    // J
    max_length: u32,   // M
    scale: f32,        // 1 / sqrt(D)
}

override SHARE: u32 = 1u;   // at most 4, divides H / J; SHARE * HEAD_VECS is at most MAX_VECS

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

// Phases beside those of attention/each.wgsl, whose SCORE and SUM are about the prompt here.
const CACHE_SCORE = 4u;
const CACHE_SUM = 5u;

// Rows that lanes pass to each other.
const KEY = 0u;
const VALUE = 1u;
const QUERY = 2u;
const MAX_ROWS = 6u;

var<private> lane: u32;
var<private> position: u32;
var<private> query_at: u32;    // where the first query and later its output begin
var<private> key_at: u32;      // where the new key begins
var<private> values: u32;      // from a key to its value
var<private> cache_at: u32;    // where the new key goes
var<private> appends: bool;
var<private> at: u32;          // where the key begins that this lane looks at

// One component per head.
var<private> score: vec4f;
var<private> largest: vec4f;
var<private> weight: vec4f;
var<private> shrink: vec4f;

// Heads one after the other.
var<private> q: array<vec4f, MAX_VECS>;
var<private> total: array<vec4f, MAX_VECS>;

// Vector c of the head that begins at `head`, rotated.
fn rotated(head: u32, c: u32) -> vec4f {
    let own = qkv[head + c];
    // The partner of each dimension is D/2 away; for odd HEAD_VECS it straddles two vectors.
    let i = select(c + HEAD_VECS / 2u, c - (HEAD_VECS + 1u) / 2u, c >= (HEAD_VECS + 1u) / 2u);
    var partner = qkv[head + i];
    if (HEAD_VECS % 2u == 1u) {
        partner = vec4f(partner.zw, qkv[head + select(i + 1u, 0u, i + 1u == HEAD_VECS)].xy);
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

// The new token: LANES vectors are rotated at a time, one per lane. The new key's score is where every lane starts; its
// value is accounted for by lane 0.
fn start(c: u32) {
    if (c % LANES == 0u) {
        let i = min(c + lane, HEAD_VECS - 1u);
        let key = rotated(key_at, i);
        let value = qkv[key_at + values + i];
        if (appends && c + lane < HEAD_VECS) {
            cache[cache_at + i] = key;
            cache[cache_at + values + i] = value;
        }
        give(KEY, c, lane, key);
        give(VALUE, c, lane, value);
        let factor = params.scale * LOG2E;
        give(QUERY, c, lane, rotated(query_at, i) * factor);
        if (SHARE > 1u) { give(QUERY + 1u, c, lane, rotated(query_at + HEAD_VECS, i) * factor); }
        if (SHARE > 2u) { give(QUERY + 2u, c, lane, rotated(query_at + 2u * HEAD_VECS, i) * factor); }
        if (SHARE > 3u) { give(QUERY + 3u, c, lane, rotated(query_at + 3u * HEAD_VECS, i) * factor); }
        given();
    }
    q[c] = take(QUERY, c);
    if (SHARE > 1u) { q[HEAD_VECS + c] = take(QUERY + 1u, c); }
    if (SHARE > 2u) { q[2u * HEAD_VECS + c] = take(QUERY + 2u, c); }
    if (SHARE > 3u) { q[3u * HEAD_VECS + c] = take(QUERY + 3u, c); }
    add_score(c, take(KEY, c));
    let value = take(VALUE, c) * select(0.0, 1.0, lane == 0u);
    total[c] = value;
    if (SHARE > 1u) { total[HEAD_VECS + c] = value; }
    if (SHARE > 2u) { total[2u * HEAD_VECS + c] = value; }
    if (SHARE > 3u) { total[3u * HEAD_VECS + c] = value; }
}

fn add_score(c: u32, key: vec4f) {
    score.x += dot(q[c], key);
    if (SHARE > 1u) { score.y += dot(q[HEAD_VECS + c], key); }
    if (SHARE > 2u) { score.z += dot(q[2u * HEAD_VECS + c], key); }
    if (SHARE > 3u) { score.w += dot(q[3u * HEAD_VECS + c], key); }
}

fn add_value(c: u32, value: vec4f) {
    total[c] = total[c] * shrink.x + score.x * value;
    if (SHARE > 1u) { total[HEAD_VECS + c] = total[HEAD_VECS + c] * shrink.y + score.y * value; }
    if (SHARE > 2u) {
        total[2u * HEAD_VECS + c] = total[2u * HEAD_VECS + c] * shrink.z + score.z * value;
    }
    if (SHARE > 3u) {
        total[3u * HEAD_VECS + c] = total[3u * HEAD_VECS + c] * shrink.w + score.w * value;
    }
}

// Turns scores into weights relative to the largest so far.
fn weigh() {
    let before = largest;
    largest = max(before, score);
    shrink = exp2(before - largest);
    score = exp2(score - largest);
    weight = weight * shrink + score;
}

fn finish(c: u32, h: u32) {
    let sum = sum_over_lanes(total[h * HEAD_VECS + c] * shrink[h], lane);
    if (lane == c % LANES) { out[query_at + h * HEAD_VECS + c] = sum; }
}

fn visit(phase: u32, c: u32) {
    switch phase {
        case START: { start(c); }
        case SCORE: { add_score(c, prompt_qkv[at + c]); }
        case SUM: { add_value(c, prompt_qkv[at + values + c]); }
        case CACHE_SCORE: { add_score(c, cache[at + c]); }
        case CACHE_SUM: { add_value(c, cache[at + values + c]); }
        default: {
            finish(c, 0u);
            if (SHARE > 1u) { finish(c, 1u); }
            if (SHARE > 2u) { finish(c, 2u); }
            if (SHARE > 3u) { finish(c, 3u); }
        }
    }
}

fn merged(h: u32) -> f32 {
    let level = team_max(largest[h], lane);
    let factor = exp2(largest[h] - level);
    return factor / team_sum(weight[h] * factor, lane);
}

@compute @workgroup_size(LANES)
fn decode(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) index: u32,
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

    let group = params.heads / params.key_heads;
    let head = (id % parts) * SHARE;
    let key_head = head / group;
    let row = (params.heads + 2u * params.key_heads) * HEAD_VECS;
    let key_column = (params.heads + key_head) * HEAD_VECS;
    lane = index;
    position = prompt_end - prompt_begin + t;
    query_at = a * row + head * HEAD_VECS;
    key_at = a * row + key_column;
    values = params.key_heads * HEAD_VECS;
    let cache_begin = b * params.max_length * 2u * values + key_head * HEAD_VECS;
    cache_at = cache_begin + t * 2u * values;
    appends = head % group == 0u;

    score = vec4f();
    each(START);
    largest = score;
    weight = vec4f(select(0.0, 1.0, lane == 0u));
    for (var n = prompt_begin + lane; n < prompt_end; n += LANES) {
        at = n * row + key_column;
        score = vec4f();
        each(SCORE);
        weigh();
        each(SUM);
    }
    for (var n = lane; n < t; n += LANES) {
        at = cache_begin + n * 2u * values;
        score = vec4f();
        each(CACHE_SCORE);
        weigh();
        each(CACHE_SUM);
    }

    shrink.x = merged(0u);
    if (SHARE > 1u) { shrink.y = merged(1u); }
    if (SHARE > 2u) { shrink.z = merged(2u); }
    if (SHARE > 3u) { shrink.w = merged(3u); }
    query_at = (a * params.heads + head) * HEAD_VECS;
    each(FINISH);
}
