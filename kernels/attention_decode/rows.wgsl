// needs: attention_decode, rows_of, workgroup
// Decoding with a lane for a row, for narrow subgroups (software adapters): rows of one prompt take its keys together, each
// lane loading one and passing it on, and each walks over a history of its own.

var<private> living: bool;                        // whether this lane has a row to look after
var<private> new_key: array<Stored, MAX_VECS>;
var<private> p_low: array<vec4f, MAX_SHARE>;      // of each head: scores, then weights, of a block of prompt keys
var<private> p_high: array<vec4f, MAX_SHARE>;

fn start_head(h: u32, c: u32, query: Pack, value: Stored) {
    let i = h * HEAD_VECS + PARTS * c;
    let factor = params.scale * LOG2E;
    q[i] = even(query) * factor;
    total[i] = stored_even(value);
    if (PARTS > 1u) {
        q[i + 1u] = odd(query) * factor;
        total[i + 1u] = stored_odd(value);
    }
}

// Stores pack c of the new key and value; returns the value as it is stored.
fn append(c: u32, key: Pack) -> Stored {
    let value = store(qkv[key_at + values + c]);
    new_key[c] = store(key);
    if (living) {
        cache[cache_at + c] = new_key[c];
        cache[cache_at + HEAD_PACKS + c] = value;
    }
    return value;
}

fn start_pair(h: u32, c: u32, first: Stored, second: Stored) {
    let query = rotated_pair(query_at + h * HEAD_PACKS, c);
    start_head(h, c, query.first, first);
    start_head(h, c + HEAD_PACKS / 2u, query.second, second);
}

// Where halves of a head are whole packs, the first half starts the second as well.
fn start_pack(c: u32) {
    if (HEAD_PACKS % 2u == 1u) {
        set_angles(position, c);
        let value = append(c, rotated(key_at, c));
        start_head(0u, c, rotated(query_at, c), value);
        if (SHARE > 1u) { start_head(1u, c, rotated(query_at + HEAD_PACKS, c), value); }
        if (SHARE > 2u) { start_head(2u, c, rotated(query_at + 2u * HEAD_PACKS, c), value); }
        if (SHARE > 3u) { start_head(3u, c, rotated(query_at + 3u * HEAD_PACKS, c), value); }
    } else if (c < HEAD_PACKS / 2u) {
        set_angles(position, c);
        let key = rotated_pair(key_at, c);
        let first = append(c, key.first);
        let second = append(c + HEAD_PACKS / 2u, key.second);
        start_pair(0u, c, first, second);
        if (SHARE > 1u) { start_pair(1u, c, first, second); }
        if (SHARE > 2u) { start_pair(2u, c, first, second); }
        if (SHARE > 3u) { start_pair(3u, c, first, second); }
    }
}

fn score_new_pack(c: u32) { add_scores(c, new_key[c]); }

fn add_prompt_score(h: u32, i: u32, low: mat4x4f, high: mat4x4f) {
    p_low[h] += q[h * HEAD_VECS + i] * low;
    if (LANES > 4u) { p_high[h] += q[h * HEAD_VECS + i] * high; }
}

fn add_prompt_scores(i: u32, held: vec4f) {
    let low = rows_of(held, 0u);
    let high = rows_of(held, min(4u, LANES - 4u));
    add_prompt_score(0u, i, low, high);
    if (SHARE > 1u) { add_prompt_score(1u, i, low, high); }
    if (SHARE > 2u) { add_prompt_score(2u, i, low, high); }
    if (SHARE > 3u) { add_prompt_score(3u, i, low, high); }
}

fn add_prompt_value(h: u32, i: u32, low: mat4x4f, high: mat4x4f) {
    var sum = total[h * HEAD_VECS + i] * shrink[h] + low * p_low[h];
    if (LANES > 4u) { sum += high * p_high[h]; }
    total[h * HEAD_VECS + i] = sum;
}

fn add_prompt_values(i: u32, held: vec4f) {
    let low = rows_of(held, 0u);
    let high = rows_of(held, min(4u, LANES - 4u));
    add_prompt_value(0u, i, low, high);
    if (SHARE > 1u) { add_prompt_value(1u, i, low, high); }
    if (SHARE > 2u) { add_prompt_value(2u, i, low, high); }
    if (SHARE > 3u) { add_prompt_value(3u, i, low, high); }
}

// Turns the block's scores into weights relative to the largest so far.
fn weigh_block(h: u32, sees_low: vec4<bool>, sees_high: vec4<bool>) {
    p_low[h] = select(vec4f(NEVER), p_low[h], sees_low);
    p_high[h] = select(vec4f(NEVER), p_high[h], sees_high);
    let before = largest[h];
    var top = max(before, max4(p_low[h]));
    if (LANES > 4u) { top = max(top, max4(p_high[h])); }
    largest[h] = top;
    shrink[h] = exp2(before - top);
    p_low[h] = exp2(p_low[h] - top);
    weight[h] = weight[h] * shrink[h] + sum4(p_low[h]);
    if (LANES > 4u) {
        p_high[h] = exp2(p_high[h] - top);
        weight[h] += sum4(p_high[h]);
    }
}

fn finish(h: u32, c: u32) {
    let i = h * HEAD_VECS + PARTS * c;
    let share = 1.0 / weight[h];
    out[query_at + h * HEAD_PACKS + c] = join(total[i] * share, total[i + PARTS - 1u] * share);
}

fn score_pack(c: u32) {
    let held = prompts[at + c];
    add_prompt_scores(PARTS * c, stored_even(held));
    if (PARTS > 1u) { add_prompt_scores(PARTS * c + 1u, stored_odd(held)); }
}

fn sum_pack(c: u32) {
    let held = prompts[at + values + c];
    add_prompt_values(PARTS * c, stored_even(held));
    if (PARTS > 1u) { add_prompt_values(PARTS * c + 1u, stored_odd(held)); }
}

fn write_pack(c: u32) {
    finish(0u, c);
    if (SHARE > 1u) { finish(1u, c); }
    if (SHARE > 2u) { finish(2u, c); }
    if (SHARE > 3u) { finish(3u, c); }
}

@compute @workgroup_size(LANES)
fn decode(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(group);
    let parts = params.heads / SHARE;
    let first = id / parts * LANES;
    if (first >= params.rows) { return; }
    let a = min(first + lane, params.rows - 1u);
    let b = slots[a];
    living = first + lane < params.rows && progress[params.finished_at + b] == 0u;
    let t = select(0u, progress[params.lengths_at + b] - 1u, living);
    let prompt_begin = prompt_ranges[2u * b];
    let prompt_end = prompt_ranges[2u * b + 1u];

    let head = (id % parts) * SHARE;
    let key_head = head * params.key_heads / params.heads;
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    let key_column = (params.heads + key_head) * HEAD_PACKS;
    let prompt_column = params.prompt_keys + key_head * HEAD_PACKS;
    position = prompt_end - prompt_begin + t;
    query_at = a * row + head * HEAD_PACKS;
    key_at = a * row + key_column;
    values = params.key_heads * HEAD_PACKS;
    let cache_begin = (b * params.key_heads + key_head) * params.max_length * 2u * HEAD_PACKS;
    cache_at = cache_begin + t * 2u * HEAD_PACKS;

    score = vec4f();
    each_start_pack();
    each_score_new_pack();
    largest = score;
    weight = vec4f(1.0);
    var waits = living;
    loop {
        // The first prompt that a lane still waits for, and the lanes that continue it.
        let begin = subgroupMin(select(0xffffffffu, prompt_begin, waits));
        if (begin == 0xffffffffu) { break; }
        let end = subgroupMax(select(0u, prompt_end, waits && prompt_begin == begin));
        let sees = waits && prompt_begin == begin && prompt_end == end;
        waits = waits && !sees;
        for (var n = begin; n < end; n += min(LANES, 8u)) {
            at = min(n + lane, end - 1u) * params.prompt_row + prompt_column;
            p_low = array<vec4f, MAX_SHARE>();
            p_high = array<vec4f, MAX_SHARE>();
            each_score_pack();
            let sees_low = (n + LOW < vec4u(end)) & vec4<bool>(sees);
            let sees_high = (n + HIGH < vec4u(end)) & vec4<bool>(sees);
            weigh_block(0u, sees_low, sees_high);
            if (SHARE > 1u) { weigh_block(1u, sees_low, sees_high); }
            if (SHARE > 2u) { weigh_block(2u, sees_low, sees_high); }
            if (SHARE > 3u) { weigh_block(3u, sees_low, sees_high); }
            each_sum_pack();
        }
    }
    for (var n = 0u; n < t; n++) {
        at = cache_begin + n * 2u * HEAD_PACKS;
        score = vec4f();
        each_score_cached_pack();
        weigh();
        each_sum_cached_pack();
    }
    if (!living) { return; }
    query_at = (a * params.heads + head) * HEAD_PACKS;
    each_write_pack();
}
