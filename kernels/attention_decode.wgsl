// provides: attention_decode
// needs: pack, stored, team, each, block, rotation
// Attention of one new token per sequence, with the rotary embedding and the growth of the cache fused in.
// Row a of qkv (A, (H + 2J) D), not yet rotated, is token t = lengths[b] - 1 of sequence b = slots[a], at position
// prompt + t. It attends to the rows prompt_ranges[b] of prompts, which hold rotated keys and then values, of (H + 2J) D
// numbers with the queries or 2J D without; to cache[b, j, 0 .. t - 1], cache (B, J, M, 2, D) with each key before its
// value, so that a head's history is read as one stretch; and to itself. Its rotated key and its value go to
// cache[b, j, t]. out (A, H D). Rows with finished[b] != 0 are left alone. Prompts and cache may be stored in float16; the new
// token too is then attended to as it is stored.
// This file is what attention_decode/keys (a lane for some keys of one row) and attention_decode/rows (a lane for a row)
// have in common. In both a workgroup looks after SHARE query heads of one key/value head. Softmax is online as in
// attention/forward, in units of log 2.

struct Params {
    rows: u32,         // A
    heads: u32,        // H
    key_heads: u32,    // J
    max_length: u32,   // M
    prompt_row: u32,   // packs in a row of prompts
    prompt_keys: u32,  // where in it the keys begin
    scale: f32,        // 1 / sqrt(D)
    lengths_at: u32,   // where in progress they begin
    finished_at: u32,
}

override SHARE: u32 = 1u;   // at most MAX_SHARE, divides H / J; SHARE heads have at most MAX_VECS vectors
override HEAD_VECS: u32 = PARTS * HEAD_PACKS;

const MAX_SHARE = 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Pack>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> prompts: array<Stored>;
@group(0) @binding(4) var<storage, read> prompt_ranges: array<u32>;
@group(0) @binding(5) var<storage, read> progress: array<u32>;   // lengths and finished
@group(0) @binding(7) var<storage, read> frequencies: array<PackBits>;   // (D), see lib/turn
@group(0) @binding(8) var<storage, read_write> cache: array<Stored>;
@group(0) @binding(9) var<storage, read_write> out: array<Pack>;

var<private> position: u32;    // of the new token
var<private> query_at: u32;    // where the first query and later its output begin
var<private> key_at: u32;      // where the new key begins
var<private> values: u32;      // from a key to its value in qkv and prompts
var<private> cache_at: u32;    // where the new key goes
var<private> at: u32;          // where the key begins that this lane looks at

// One component per head.
var<private> score: vec4f;
var<private> largest: vec4f;
var<private> weight: vec4f;
var<private> shrink: vec4f;

// Heads one after the other, and in each the parts of its packs.
var<private> q: array<vec4f, MAX_VECS>;
var<private> total: array<vec4f, MAX_VECS>;

// Pack c of the head that begins at `head`, rotated by what set_angles was given.
fn rotated(head: u32, c: u32) -> Pack {
    let own = qkv[head + c];
    let other = qkv[head + partner(c)];
    let next = qkv[head + partner_next(c)];
    return join(
        even(own) * cosine_even + partners(even(other), even(next)) * sine_even,
        odd(own) * cosine_odd + partners(odd(other), odd(next)) * sine_odd,
    );
}

struct Pair { first: Pack, second: Pack }

// Packs c and c + HEAD_PACKS / 2 of a head with an even number of them, each the other's partner.
fn rotated_pair(head: u32, c: u32) -> Pair {
    let first = qkv[head + c];
    let second = qkv[head + c + HEAD_PACKS / 2u];
    return Pair(
        join(
            even(first) * cosine_even + even(second) * sine_even,
            odd(first) * cosine_odd + odd(second) * sine_odd,
        ),
        join(
            even(second) * cosine_even - even(first) * sine_even,
            odd(second) * cosine_odd - odd(first) * sine_odd,
        ),
    );
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

fn add_scores(c: u32, key: Stored) {
    add_score(PARTS * c, stored_even(key));
    if (PARTS > 1u) { add_score(PARTS * c + 1u, stored_odd(key)); }
}

fn add_values(c: u32, value: Stored) {
    add_value(PARTS * c, stored_even(value));
    if (PARTS > 1u) { add_value(PARTS * c + 1u, stored_odd(value)); }
}

fn score_cached_pack(c: u32) { add_scores(c, cache[at + c]); }

fn sum_cached_pack(c: u32) { add_values(c, cache[at + HEAD_PACKS + c]); }

// Turns scores into weights relative to the largest so far.
fn weigh() {
    let before = largest;
    largest = max(before, score);
    shrink = exp2(before - largest);
    score = exp2(score - largest);
    weight = weight * shrink + score;
}
