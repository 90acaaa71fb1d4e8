// needs: attention, slopes, workgroup
// Attention, gradient of the queries, with p recomputed from the saved log-sum-exp:
//   row_dot = dout . out;  ds = p (dout . v - row_dot);  dq = sum over keys of ds k / sqrt(D)
// Work is shared out as in attention/forward.wgsl. Writes the queries' part of dqkv (T, (H + 2J) D), see attention/slopes,
// and row_dot beside lse in stats (T, H, 2).

@group(0) @binding(7) var<storage, read> saved_out: array<Pack>;
@group(0) @binding(8) var<storage, read_write> stats: array<f32>;

var<private> q: array<vec4f, MAX_VECS>;
var<private> d: array<vec4f, MAX_VECS>;
var<private> held_keys: array<vec4f, MAX_VECS>;
var<private> own_out: u32;     // where out and dout begin
var<private> mine: u32;        // where the key begins that this lane holds for the block
var<private> low: vec4u;       // where the keys of the block begin
var<private> high: vec4u;
var<private> values: u32;      // from a key to its value
var<private> p_low: vec4f;     // scores of the block's keys
var<private> p_high: vec4f;
var<private> ds_low: vec4f;    // gradients of the scores
var<private> ds_high: vec4f;
var<private> along: vec4f;     // row_dot in four parts

fn start(i: u32, query: vec4f, slope: vec4f, result: vec4f) {
    q[i] = query * (params.scale * LOG2E);
    d[i] = slope;
    slopes[i] = vec4f();
    along += slope * result;
}

fn start_pack(c: u32) {
    let query = qkv[own + c];
    let slope = dout[own_out + c];
    let result = saved_out[own_out + c];
    start(PARTS * c, even(query), even(slope), even(result));
    if (PARTS > 1u) { start(PARTS * c + 1u, odd(query), odd(slope), odd(result)); }
}

fn add_score(i: u32, key: vec4f, value: vec4f, c: u32) {
    held_keys[i] = key;
    p_low += q[i] * qkv_rows(key, 0u, low + c);
    ds_low += d[i] * qkv_rows(value, 0u, low + values + c);
    if (BLOCK > 4u) {
        p_high += q[i] * qkv_rows(key, 4u, high + c);
        ds_high += d[i] * qkv_rows(value, 4u, high + values + c);
    }
}

fn score_pack(c: u32) {
    let key = qkv[mine + c];
    let value = qkv[mine + values + c];
    add_score(PARTS * c, even(key), even(value), c);
    if (PARTS > 1u) { add_score(PARTS * c + 1u, odd(key), odd(value), c); }
}

fn add_slope(i: u32, c: u32) {
    var sum = slopes[i] + qkv_rows(held_keys[i], 0u, low + c) * ds_low;
    if (BLOCK > 4u) { sum += qkv_rows(held_keys[i], 4u, high + c) * ds_high; }
    slopes[i] = sum;
}

fn sum_pack(c: u32) {
    add_slope(PARTS * c, c);
    if (PARTS > 1u) { add_slope(PARTS * c + 1u, c); }
}

@compute @workgroup_size(TILE)
fn backward_query(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(group);
    let head = id % params.heads;
    if (id / params.heads >= params.tiles) { return; }
    let tile = read_tile(id / params.heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    let key_column = (params.heads + head * params.key_heads / params.heads) * HEAD_PACKS;
    let token = min(tile.first + lane, tile.end - 1u);
    position = token - tile.start + tile.prefix;
    let keys = tile.end - tile.start + tile.prefix;
    let query = token * params.heads + head;

    own = token * row + head * HEAD_PACKS;
    own_out = query * HEAD_PACKS;
    values = params.key_heads * HEAD_PACKS;
    along = vec4f();
    each_start_pack();
    let mean_slope = sum4(along);
    let level = stats[2u * query];
    for (var n = 0u; n < keys; n += BLOCK) {
        let last = vec4u(keys - 1u);
        mine = tokens_at(tile, min(vec4u(n + lane), last)).x * row + key_column;
        low = tokens_at(tile, min(n + LOW, last)) * row + key_column;
        high = tokens_at(tile, min(n + HIGH, last)) * row + key_column;
        p_low = vec4f(-level);
        p_high = vec4f(-level);
        ds_low = vec4f(-mean_slope);
        ds_high = vec4f(-mean_slope);
        each_score_pack();
        ds_low *= exp2(select(vec4f(NEVER), p_low, n + LOW <= vec4u(position)));
        ds_high *= exp2(select(vec4f(NEVER), p_high, n + HIGH <= vec4u(position)));
        each_sum_pack();
    }
    if (tile.first + lane >= tile.end) { return; }
    stats[2u * query + 1u] = mean_slope;
    each_write_slopes();
}
