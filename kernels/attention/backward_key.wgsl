// needs: attention, slopes, workgroup
// Attention, gradients of the keys and values, with p recomputed from the saved log-sum-exp:
//   dv = sum over queries of p dout;  ds = p (dout . v - row_dot);  dk = sum over queries of ds q / sqrt(D)
// A workgroup is a tile of key tokens and a key/value head, a lane is one key that walks over the queries that see it, of
// all query heads of its group in turn. Writes the keys' and values' parts of dqkv (T, (H + 2J) D), see attention/slopes.

var<private> k: array<vec4f, MAX_VECS>;
var<private> v: array<vec4f, MAX_VECS>;
var<private> dv: array<vec4f, MAX_VECS>;
var<private> held_q: array<vec4f, MAX_VECS>;
var<private> held_dout: array<vec4f, MAX_VECS>;
var<private> values: u32;        // from a key to its value
var<private> mine: u32;          // where the query begins that this lane holds for the block
var<private> mine_dout: u32;
var<private> low: vec4u;         // where the queries of the block begin
var<private> high: vec4u;
var<private> low_dout: vec4u;
var<private> high_dout: vec4u;
var<private> p_low: vec4f;       // scores, then probabilities, of the block's queries
var<private> p_high: vec4f;
var<private> ds_low: vec4f;      // gradients of the scores
var<private> ds_high: vec4f;

fn start(i: u32, key: vec4f, value: vec4f) {
    k[i] = key * (params.scale * LOG2E);
    v[i] = value;
    slopes[i] = vec4f();
    dv[i] = vec4f();
}

fn start_pack(c: u32) {
    let key = qkv[own + c];
    let value = qkv[own + values + c];
    start(PARTS * c, even(key), even(value));
    if (PARTS > 1u) { start(PARTS * c + 1u, odd(key), odd(value)); }
}

fn add_score(i: u32, query: vec4f, slope: vec4f, c: u32) {
    held_q[i] = query;
    held_dout[i] = slope;
    p_low += k[i] * qkv_rows(query, 0u, low + c);
    ds_low += v[i] * dout_rows(slope, 0u, low_dout + c);
    if (BLOCK > 4u) {
        p_high += k[i] * qkv_rows(query, 4u, high + c);
        ds_high += v[i] * dout_rows(slope, 4u, high_dout + c);
    }
}

fn score_pack(c: u32) {
    let query = qkv[mine + c];
    let slope = dout[mine_dout + c];
    add_score(PARTS * c, even(query), even(slope), c);
    if (PARTS > 1u) { add_score(PARTS * c + 1u, odd(query), odd(slope), c); }
}

fn add_slope(i: u32, c: u32) {
    var key_sum = slopes[i] + qkv_rows(held_q[i], 0u, low + c) * ds_low;
    var value_sum = dv[i] + dout_rows(held_dout[i], 0u, low_dout + c) * p_low;
    if (BLOCK > 4u) {
        key_sum += qkv_rows(held_q[i], 4u, high + c) * ds_high;
        value_sum += dout_rows(held_dout[i], 4u, high_dout + c) * p_high;
    }
    slopes[i] = key_sum;
    dv[i] = value_sum;
}

fn sum_pack(c: u32) {
    add_slope(PARTS * c, c);
    if (PARTS > 1u) { add_slope(PARTS * c + 1u, c); }
}

fn write_pack(c: u32) {
    write_slopes(c);
    write_sum(own + values + c, dv[PARTS * c], dv[PARTS * c + PARTS - 1u]);
}

@compute @workgroup_size(TILE)
fn backward_key(place: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(place);
    let key_head = id % params.key_heads;
    if (id / params.key_heads >= params.tiles) { return; }
    let tile = read_tile(id / params.key_heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    let group = params.heads / params.key_heads;
    let token = min(tile.first + lane, tile.end - 1u);

    position = token - tile.start + tile.prefix;
    own = token * row + (params.heads + key_head) * HEAD_PACKS;
    values = params.key_heads * HEAD_PACKS;
    each_start_pack();
    for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
        for (var i = tile.first; i < tile.query_end; i += BLOCK) {
            let last = vec4u(tile.query_end - 1u);
            let held = min(i + lane, last.x);
            let low_queries = min(i + LOW, last);
            let high_queries = min(i + HIGH, last);
            mine = held * row + head * HEAD_PACKS;
            low = low_queries * row + head * HEAD_PACKS;
            high = high_queries * row + head * HEAD_PACKS;
            mine_dout = (held * params.heads + head) * HEAD_PACKS;
            low_dout = (low_queries * params.heads + head) * HEAD_PACKS;
            high_dout = (high_queries * params.heads + head) * HEAD_PACKS;
            let held_lse = saved_stats[2u * (held * params.heads + head)];
            let held_row_dot = saved_stats[2u * (held * params.heads + head) + 1u];
            p_low = -lse_rows(held_lse, 0u, low_queries * params.heads + head);
            ds_low = -row_dot_rows(held_row_dot, 0u, low_queries * params.heads + head);
            if (BLOCK > 4u) {
                p_high = -lse_rows(held_lse, 4u, high_queries * params.heads + head);
                ds_high = -row_dot_rows(held_row_dot, 4u, high_queries * params.heads + head);
            }
            each_score_pack();
            let seen_low = (i + LOW >= vec4u(token)) & (i + LOW <= last);
            let seen_high = (i + HIGH >= vec4u(token)) & (i + HIGH <= last);
            p_low = exp2(select(vec4f(NEVER), p_low, seen_low));
            p_high = exp2(select(vec4f(NEVER), p_high, seen_high));
            ds_low *= p_low;
            ds_high *= p_high;
            each_sum_pack();
        }
    }
    if (tile.first + lane >= tile.end) { return; }
    each_write_pack();
}
