// needs: attention_decode, passing, workgroup
// Decoding with a lane for every LANES-th key of one row: its query is passed to all lanes, and their partial results are
// merged at the end. Numbers pass between lanes as in attention_decode/subgroup or attention_decode/shared.

// What lanes pass to each other.
const KEY = 0u;
const VALUE = 1u;
const QUERY = 2u;   // and those after it, one for each head
const MAX_ROWS = PARTS * (2u + MAX_SHARE);

var<private> lane: u32;
var<private> appends: bool;     // whether this workgroup grows the cache
var<private> held_from: u32;    // the first of the LANES packs of the new token that lanes hold
var<private> merged_even: vec4f;
var<private> merged_odd: vec4f;

fn give_pack(row: u32, c: u32, pack: Pack) {
    give(PARTS * row, c, lane, even(pack));
    if (PARTS > 1u) { give(PARTS * row + 1u, c, lane, odd(pack)); }
}

fn give_stored(row: u32, c: u32, pack: Stored) {
    give(PARTS * row, c, lane, stored_even(pack));
    if (PARTS > 1u) { give(PARTS * row + 1u, c, lane, stored_odd(pack)); }
}

// Rotates LANES packs of the new token, one per lane, and appends them to the cache.
fn prepare(c: u32) {
    let i = min(c + lane, HEAD_PACKS - 1u);
    set_angles(position, i);
    let key = store(rotated(key_at, i));
    let value = store(qkv[key_at + values + i]);
    if (appends && c + lane < HEAD_PACKS) {
        cache[cache_at + i] = key;
        cache[cache_at + HEAD_PACKS + i] = value;
    }
    give_stored(KEY, c, key);
    give_stored(VALUE, c, value);
    give_pack(QUERY, c, rotated(query_at, i));
    if (SHARE > 1u) { give_pack(QUERY + 1u, c, rotated(query_at + HEAD_PACKS, i)); }
    if (SHARE > 2u) { give_pack(QUERY + 2u, c, rotated(query_at + 2u * HEAD_PACKS, i)); }
    if (SHARE > 3u) { give_pack(QUERY + 3u, c, rotated(query_at + 3u * HEAD_PACKS, i)); }
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

// Lane i keeps pack i of the merged result, and LANES packs are written at a time.
fn merge(c: u32, h: u32) {
    let i = h * HEAD_VECS + PARTS * c;
    let mine = lane == c % LANES;
    merged_even = select(merged_even, sum_over_lanes(total[i] * shrink[h], lane), mine);
    if (PARTS > 1u) {
        merged_odd = select(merged_odd, sum_over_lanes(total[i + 1u] * shrink[h], lane), mine);
    }
    if ((c % LANES == LANES - 1u || c == HEAD_PACKS - 1u) && lane <= c % LANES) {
        out[query_at + h * HEAD_PACKS + c - c % LANES + lane] = join(merged_even, merged_odd);
    }
}

fn start_pack(c: u32) {
    if (c / LANES == held_from / LANES) {
        start(c, 0u);
        if (PARTS > 1u) { start(c, 1u); }
    }
}

fn score_pack(c: u32) { add_scores(c, prompts[at + c]); }

fn sum_pack(c: u32) { add_values(c, prompts[at + values + c]); }

// A loop: without subgroups there are barriers below, and each is dear to compile.
fn merge_all(h: u32) {
    for (var c = 0u; c < HEAD_PACKS; c++) { merge(c, h); }
}

// What a lane's sums of head h are multiplied with before all are added up.
fn merge_factor(h: u32) -> f32 {
    let level = team_max(largest[h], lane);
    let factor = exp2(largest[h] - level);
    return factor / team_sum(weight[h] * factor, lane);
}

@compute @workgroup_size(LANES)
fn decode(group: Workgroup, @builtin(local_invocation_index) index: u32) {
    let id = number_of(group);
    let parts = params.heads / SHARE;
    let a = id / parts;
    if (a >= params.rows) { return; }
    let b = slots[a];
    if (progress[params.finished_at + b] != 0u) { return; }
    let t = progress[params.lengths_at + b] - 1u;
    let prompt_begin = prompt_ranges[2u * b];
    let prompt_end = prompt_ranges[2u * b + 1u];

    let sharing = params.heads / params.key_heads;   // heads to a key head
    let head = (id % parts) * SHARE;
    let key_head = head / sharing;
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    let key_column = (params.heads + key_head) * HEAD_PACKS;
    let prompt_column = params.prompt_keys + key_head * HEAD_PACKS;
    lane = index;
    position = prompt_end - prompt_begin + t;
    query_at = a * row + head * HEAD_PACKS;
    key_at = a * row + key_column;
    values = params.key_heads * HEAD_PACKS;
    let cache_begin = (b * params.key_heads + key_head) * params.max_length * 2u * HEAD_PACKS;
    cache_at = cache_begin + t * 2u * HEAD_PACKS;
    appends = head % sharing == 0u;

    score = vec4f();
    for (var c = 0u; c < HEAD_PACKS; c += LANES) {
        held_from = c;
        prepare(c);
        each_start_pack();
    }
    largest = score;
    weight = vec4f(select(0.0, 1.0, lane == 0u));
    for (var n = prompt_begin + lane; n < prompt_end; n += LANES) {
        at = n * params.prompt_row + prompt_column;
        score = vec4f();
        each_score_pack();
        weigh();
        each_sum_pack();
    }
    for (var n = lane; n < t; n += LANES) {
        at = cache_begin + n * 2u * HEAD_PACKS;
        score = vec4f();
        each_score_cached_pack();
        weigh();
        each_sum_cached_pack();
    }

    query_at = (a * params.heads + head) * HEAD_PACKS;
    shrink.x = merge_factor(0u);
    merge_all(0u);
    if (SHARE > 1u) {
        shrink.y = merge_factor(1u);
        merge_all(1u);
    }
    if (SHARE > 2u) {
        shrink.z = merge_factor(2u);
        merge_all(2u);
    }
    if (SHARE > 3u) {
        shrink.w = merge_factor(3u);
        merge_all(3u);
    }
}
