// Attention of one new token per sequence, with the rotary embedding and the growth of the cache fused in.
// Row a of qkv (A, (H + 2J) D), not yet rotated, is token t = lengths[b] - 1 of sequence b = slots[a], at position
// prompt + t. It attends to the rows prompt_ranges[b] of prompt_qkv (., (H + 2J) D), rotated; to cache[b, j, 0 .. t - 1],
// cache (B, J, M, 2, D) with each key before its value, so that a head's history is read as one stretch; and to itself.
// Its rotated key and its value go to cache[b, j, t]. out (A, H D). Rows with finished[b] != 0 are left alone.
// A workgroup is a row and SHARE query heads of one key/value head, a lane takes every LANES-th key; their partial
// results (online softmax as in attention/forward.wgsl, in units of log 2) are merged at the end. Rows are read in pieces
// of four or eight numbers, see attention/pieces_*; lanes pass numbers to each other as in attention_decode/subgroup or
// attention_decode/shared; loops over a head are in attention/each.wgsl.

struct Params {
    rows: u32,         // A
    heads: u32,        // H
    key_heads: u32,    // J
    max_length: u32,   // M
    scale: f32,        // 1 / sqrt(D)
}

override SHARE: u32 = 1u;   // at most MAX_SHARE, divides H / J; SHARE heads have at most MAX_VECS vectors
override HEAD_VECS: u32 = PARTS * HEAD_PIECES;

const MAX_SHARE = 4u;
const LOG2E = 1.4426950408889634;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Piece>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> prompt_qkv: array<Piece>;
@group(0) @binding(4) var<storage, read> prompt_ranges: array<u32>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;
@group(0) @binding(6) var<storage, read> finished: array<u32>;
@group(0) @binding(7) var<storage, read> frequencies: array<PieceBits>;   // (D), see rope/turn.wgsl
@group(0) @binding(8) var<storage, read_write> cache: array<Piece>;
@group(0) @binding(9) var<storage, read_write> out: array<Piece>;

// Phases beside those of attention/each.wgsl, whose SCORE and SUM are about the prompt here.
const CACHE_SCORE = 4u;
const CACHE_SUM = 5u;
const MERGE = 6u;   // and the three after it, one for each head

// What lanes pass to each other.
const KEY = 0u;
const VALUE = 1u;
const QUERY = 2u;   // and those after it, one for each head
const MAX_ROWS = PARTS * (2u + MAX_SHARE);

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

// Heads one after the other, and in each the parts of its pieces.
var<private> q: array<vec4f, MAX_VECS>;
var<private> total: array<vec4f, MAX_VECS>;
var<private> held_from: u32;   // the first of the LANES pieces of the new token that lanes hold
var<private> merged_even: vec4f;
var<private> merged_odd: vec4f;

fn rotate(own: vec4f, partner: vec4f, fractions: vec4u, first_half: vec4<bool>) -> vec4f {
    let x = turn(fractions.x);
    let y = turn(fractions.y);
    let z = turn(fractions.z);
    let w = turn(fractions.w);
    let sine = vec4f(x.y, y.y, z.y, w.y);
    return own * vec4f(x.x, y.x, z.x, w.x) + partner * select(sine, -sine, first_half);
}

// Piece c of the head that begins at `head`, rotated.
fn rotated(head: u32, c: u32) -> Piece {
    let own = qkv[head + c];
    // The partner of each dimension is D/2 away; for odd HEAD_PIECES it straddles two pieces.
    let middle = (HEAD_PIECES + 1u) / 2u;
    let i = select(c + HEAD_PIECES / 2u, c - middle, c >= middle);
    let other = qkv[head + i];
    var partner_even = even(other);
    var partner_odd = odd(other);
    if (HEAD_PIECES % 2u == 1u) {
        let next = qkv[head + select(i + 1u, 0u, i + 1u == HEAD_PIECES)];
        partner_even = vec4f(partner_even.zw, even(next).xy);
        partner_odd = vec4f(partner_odd.zw, odd(next).xy);
    }
    let bits = frequencies[c];
    let first_half = 2u * (4u * c + vec4u(0u, 1u, 2u, 3u)) < vec4u(4u * HEAD_PIECES);
    let turned = rotate(even(own), partner_even, position * even_bits(bits), first_half);
    if (PARTS == 1u) { return join(turned, turned); }
    return join(turned, rotate(odd(own), partner_odd, position * odd_bits(bits), first_half));
}

fn give_piece(row: u32, c: u32, piece: Piece) {
    give(PARTS * row, c, lane, even(piece));
    if (PARTS > 1u) { give(PARTS * row + 1u, c, lane, odd(piece)); }
}

// Rotates LANES pieces of the new token, one per lane, and appends them to the cache.
fn prepare(c: u32) {
    let i = min(c + lane, HEAD_PIECES - 1u);
    let key = rotated(key_at, i);
    let value = qkv[key_at + values + i];
    if (appends && c + lane < HEAD_PIECES) {
        cache[cache_at + i] = key;
        cache[cache_at + HEAD_PIECES + i] = value;
    }
    give_piece(KEY, c, key);
    give_piece(VALUE, c, value);
    give_piece(QUERY, c, rotated(query_at, i));
    if (SHARE > 1u) { give_piece(QUERY + 1u, c, rotated(query_at + HEAD_PIECES, i)); }
    if (SHARE > 2u) { give_piece(QUERY + 2u, c, rotated(query_at + 2u * HEAD_PIECES, i)); }
    if (SHARE > 3u) { give_piece(QUERY + 3u, c, rotated(query_at + 3u * HEAD_PIECES, i)); }
    given();
}

// The new token's score is where every lane starts; lane 0 accounts for its value.
fn start(c: u32, part: u32) {
    let i = PARTS * c + part;
    let factor = params.scale * LOG2E;
    q[i] = take(PARTS * QUERY + part, c) * factor;
    if (SHARE > 1u) { q[HEAD_VECS + i] = take(PARTS * (QUERY + 1u) + part, c) * factor; }
    if (SHARE > 2u) { q[2u * HEAD_VECS + i] = take(PARTS * (QUERY + 2u) + part, c) * factor; }
    if (SHARE > 3u) { q[3u * HEAD_VECS + i] = take(PARTS * (QUERY + 3u) + part, c) * factor; }
    add_score(i, take(PARTS * KEY + part, c));
    let value = take(PARTS * VALUE + part, c) * select(0.0, 1.0, lane == 0u);
    total[i] = value;
    if (SHARE > 1u) { total[HEAD_VECS + i] = value; }
    if (SHARE > 2u) { total[2u * HEAD_VECS + i] = value; }
    if (SHARE > 3u) { total[3u * HEAD_VECS + i] = value; }
}

fn add_score(i: u32, key: vec4f) {
    score.x += dot(q[i], key);
    if (SHARE > 1u) { score.y += dot(q[HEAD_VECS + i], key); }
    if (SHARE > 2u) { score.z += dot(q[2u * HEAD_VECS + i], key); }
    if (SHARE > 3u) { score.w += dot(q[3u * HEAD_VECS + i], key); }
}

fn add_value(i: u32, value: vec4f) {
    total[i] = total[i] * shrink.x + score.x * value;
    if (SHARE > 1u) { total[HEAD_VECS + i] = total[HEAD_VECS + i] * shrink.y + score.y * value; }
    if (SHARE > 2u) {
        total[2u * HEAD_VECS + i] = total[2u * HEAD_VECS + i] * shrink.z + score.z * value;
    }
    if (SHARE > 3u) {
        total[3u * HEAD_VECS + i] = total[3u * HEAD_VECS + i] * shrink.w + score.w * value;
    }
}

fn add_scores(c: u32, key: Piece) {
    add_score(PARTS * c, even(key));
    if (PARTS > 1u) { add_score(PARTS * c + 1u, odd(key)); }
}

fn add_values(c: u32, value: Piece) {
    add_value(PARTS * c, even(value));
    if (PARTS > 1u) { add_value(PARTS * c + 1u, odd(value)); }
}

// Turns scores into weights relative to the largest so far.
fn weigh() {
    let before = largest;
    largest = max(before, score);
    shrink = exp2(before - largest);
    score = exp2(score - largest);
    weight = weight * shrink + score;
}

// Lane i keeps piece i of the merged result, and LANES pieces are written at a time.
fn merge(c: u32, h: u32) {
    let i = h * HEAD_VECS + PARTS * c;
    let mine = lane == c % LANES;
    merged_even = select(merged_even, sum_over_lanes(total[i] * shrink[h], lane), mine);
    if (PARTS > 1u) {
        merged_odd = select(merged_odd, sum_over_lanes(total[i + 1u] * shrink[h], lane), mine);
    }
    if ((c % LANES == LANES - 1u || c == HEAD_PIECES - 1u) && lane <= c % LANES) {
        out[query_at + h * HEAD_PIECES + c - c % LANES + lane] = join(merged_even, merged_odd);
    }
}

fn visit(phase: u32, c: u32) {
    switch phase {
        case START: {
            if (c / LANES == held_from / LANES) {
                start(c, 0u);
                if (PARTS > 1u) { start(c, 1u); }
            }
        }
        case SCORE: { add_scores(c, prompt_qkv[at + c]); }
        case SUM: { add_values(c, prompt_qkv[at + values + c]); }
        case CACHE_SCORE: { add_scores(c, cache[at + c]); }
        case CACHE_SUM: { add_values(c, cache[at + HEAD_PIECES + c]); }
        default: { merge(c, phase - MERGE); }
    }
}

// What a lane's sums of head h are multiplied with before all are added up.
fn merge_factor(h: u32) -> f32 {
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
    let row = (params.heads + 2u * params.key_heads) * HEAD_PIECES;
    let key_column = (params.heads + key_head) * HEAD_PIECES;
    lane = index;
    position = prompt_end - prompt_begin + t;
    query_at = a * row + head * HEAD_PIECES;
    key_at = a * row + key_column;
    values = params.key_heads * HEAD_PIECES;
    let cache_begin = (b * params.key_heads + key_head) * params.max_length * 2u * HEAD_PIECES;
    cache_at = cache_begin + t * 2u * HEAD_PIECES;
    appends = head % group == 0u;

    score = vec4f();
    for (var c = 0u; c < HEAD_PIECES; c += LANES) {
        held_from = c;
        prepare(c);
        each(START);
    }
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
        at = cache_begin + n * 2u * HEAD_PIECES;
        score = vec4f();
        each(CACHE_SCORE);
        weigh();
        each(CACHE_SUM);
    }

    query_at = (a * params.heads + head) * HEAD_PIECES;
    shrink.x = merge_factor(0u);
    each(MERGE);
    if (SHARE > 1u) {
        shrink.y = merge_factor(1u);
        each(MERGE + 1u);
    }
    if (SHARE > 2u) {
        shrink.z = merge_factor(2u);
        each(MERGE + 2u);
    }
    if (SHARE > 3u) {
        shrink.w = merge_factor(3u);
        each(MERGE + 3u);
    }
}
