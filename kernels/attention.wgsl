// Causal grouped-query attention over packed segments that share prompt prefixes (FlashAttention-2, arXiv 2307.08691):
//   out = softmax(q k^T / sqrt(D)) v, with scores never stored; the log-sum-exp of each row is.
// qkv, dqkv (T, (H + 2J) D); out, dout (T, H D); lse, row_dot (T, H). Segments and tiles: see src/ops/packed_layout.ts.
// D = 4 HEAD_VECS. Scores are in units of log 2, so that exp2 serves.
// forward, backward_query: a workgroup is a tile of query tokens and a head, a lane is one query; backward_key: a tile of
// key tokens and a key/value head, a lane is one key. The other side is walked through in order, at addresses that are
// the same for all lanes. Accumulators live in registers: loops over HEAD_VECS are unrolled by the driver.

struct Params {
    tiles: u32,        // tiles in use
    heads: u32,        // H
    key_heads: u32,    // J
    scale: f32,        // 1 / sqrt(D)
    accumulate: u32,   // backward*: add to dqkv instead of writing it
}

override TILE: u32 = 32u;
override HEAD_VECS: u32 = 4u;

const MAX_HEAD_VECS = 32u;
const LOG2E = 1.4426950408889634;
const NEVER = -1e30;   // score of a key that is not attended to

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> segments: array<u32>;
@group(0) @binding(2) var<storage, read> tiles: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

struct Tile {
    first: u32,          // first token
    end: u32,            // one past the last token of the tile
    start: u32,          // first token of the segment
    prefix_start: u32,
    prefix: u32,         // tokens of the prompt before the segment
    query_end: u32,
}

fn read_tile(tile: u32) -> Tile {
    let first = tiles[2u * tile + 1u];
    let at = 5u * tiles[2u * tile];
    let prefix_start = segments[at + 2u];
    return Tile(
        first, min(first + TILE, segments[at + 1u]), segments[at], prefix_start,
        segments[at + 3u] - prefix_start, segments[at + 4u],
    );
}

fn sum4(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@compute @workgroup_size(TILE)
fn forward(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = wid.x + wid.y * nwg.x;
    let head = id % params.heads;
    if (id / params.heads >= params.tiles) { return; }
    let tile = read_tile(id / params.heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_VECS;
    let key_column = (params.heads + head * params.key_heads / params.heads) * HEAD_VECS;
    let value_column = key_column + params.key_heads * HEAD_VECS;
    let token = min(tile.first + lane, tile.end - 1u);
    let position = token - tile.start + tile.prefix;
    let keys = tile.end - tile.start + tile.prefix;

    var q: array<vec4f, MAX_HEAD_VECS>;
    var total: array<vec4f, MAX_HEAD_VECS>;
    for (var c = 0u; c < HEAD_VECS; c++) {
        q[c] = qkv[token * row + head * HEAD_VECS + c] * (params.scale * LOG2E);
        total[c] = vec4f();
    }
    var largest = NEVER;
    var weight = 0.0;
    for (var n = 0u; n < keys; n++) {
        let key = select(tile.start + n - tile.prefix, tile.prefix_start + n, n < tile.prefix) * row;
        var products = vec4f();
        for (var c = 0u; c < HEAD_VECS; c++) { products += q[c] * qkv[key + key_column + c]; }
        let score = select(NEVER, sum4(products), n <= position);
        let before = largest;
        largest = max(largest, score);
        let shrink = exp2(before - largest);
        let p = exp2(score - largest);
        weight = weight * shrink + p;
        for (var c = 0u; c < HEAD_VECS; c++) {
            total[c] = total[c] * shrink + p * qkv[key + value_column + c];
        }
    }
    if (tile.first + lane >= tile.end) { return; }
    for (var c = 0u; c < HEAD_VECS; c++) {
        out[(token * params.heads + head) * HEAD_VECS + c] = total[c] / weight;
    }
    lse[token * params.heads + head] = largest + log2(weight);
}

@group(0) @binding(6) var<storage, read> saved_out: array<vec4f>;
@group(0) @binding(7) var<storage, read> saved_lse: array<f32>;
@group(0) @binding(8) var<storage, read> dout: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> row_dot: array<f32>;
@group(0) @binding(10) var<storage, read_write> dqkv: array<vec4f>;

// row_dot = dout . out;  ds = p (dout . v - row_dot);  dq = sum over keys of ds k / sqrt(D)
@compute @workgroup_size(TILE)
fn backward_query(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = wid.x + wid.y * nwg.x;
    let head = id % params.heads;
    if (id / params.heads >= params.tiles) { return; }
    let tile = read_tile(id / params.heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_VECS;
    let key_column = (params.heads + head * params.key_heads / params.heads) * HEAD_VECS;
    let value_column = key_column + params.key_heads * HEAD_VECS;
    let token = min(tile.first + lane, tile.end - 1u);
    let position = token - tile.start + tile.prefix;
    let keys = tile.end - tile.start + tile.prefix;
    let query = token * params.heads + head;

    var q: array<vec4f, MAX_HEAD_VECS>;
    var d: array<vec4f, MAX_HEAD_VECS>;
    var total: array<vec4f, MAX_HEAD_VECS>;
    var products = vec4f();
    for (var c = 0u; c < HEAD_VECS; c++) {
        q[c] = qkv[token * row + head * HEAD_VECS + c] * (params.scale * LOG2E);
        d[c] = dout[query * HEAD_VECS + c];
        products += d[c] * saved_out[query * HEAD_VECS + c];
        total[c] = vec4f();
    }
    let along = sum4(products);
    let level = saved_lse[query];
    for (var n = 0u; n < keys; n++) {
        let key = select(tile.start + n - tile.prefix, tile.prefix_start + n, n < tile.prefix) * row;
        var scores = vec4f();
        var slopes = vec4f();
        for (var c = 0u; c < HEAD_VECS; c++) {
            scores += q[c] * qkv[key + key_column + c];
            slopes += d[c] * qkv[key + value_column + c];
        }
        let p = exp2(select(NEVER, sum4(scores), n <= position) - level);
        let ds = p * (sum4(slopes) - along);
        for (var c = 0u; c < HEAD_VECS; c++) { total[c] += ds * qkv[key + key_column + c]; }
    }
    if (tile.first + lane >= tile.end) { return; }
    row_dot[query] = along;
    let at = token * row + head * HEAD_VECS;
    for (var c = 0u; c < HEAD_VECS; c++) {
        var dq = total[c] * params.scale;
        if (params.accumulate != 0u) { dq += dqkv[at + c]; }
        dqkv[at + c] = dq;
    }
}

@group(0) @binding(11) var<storage, read> saved_row_dot: array<f32>;

// dv = sum over queries of p dout;  dk = sum over queries of ds q / sqrt(D)
@compute @workgroup_size(TILE)
fn backward_key(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = wid.x + wid.y * nwg.x;
    let key_head = id % params.key_heads;
    if (id / params.key_heads >= params.tiles) { return; }
    let tile = read_tile(id / params.key_heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_VECS;
    let group = params.heads / params.key_heads;
    let token = min(tile.first + lane, tile.end - 1u);
    let key_at = token * row + (params.heads + key_head) * HEAD_VECS;
    let value_at = key_at + params.key_heads * HEAD_VECS;

    var k: array<vec4f, MAX_HEAD_VECS>;
    var v: array<vec4f, MAX_HEAD_VECS>;
    var dk: array<vec4f, MAX_HEAD_VECS>;
    var dv: array<vec4f, MAX_HEAD_VECS>;
    for (var c = 0u; c < HEAD_VECS; c++) {
        k[c] = qkv[key_at + c] * (params.scale * LOG2E);
        v[c] = qkv[value_at + c];
        dk[c] = vec4f();
        dv[c] = vec4f();
    }
    for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
        for (var i = tile.first; i < tile.query_end; i++) {
            let query = i * params.heads + head;
            let q_at = i * row + head * HEAD_VECS;
            var scores = vec4f();
            var slopes = vec4f();
            for (var c = 0u; c < HEAD_VECS; c++) {
                scores += k[c] * qkv[q_at + c];
                slopes += v[c] * dout[query * HEAD_VECS + c];
            }
            let p = exp2(select(NEVER, sum4(scores), i >= token) - saved_lse[query]);
            let ds = p * (sum4(slopes) - saved_row_dot[query]);
            for (var c = 0u; c < HEAD_VECS; c++) {
                dv[c] += p * dout[query * HEAD_VECS + c];
                dk[c] += ds * qkv[q_at + c];
            }
        }
    }
    if (tile.first + lane >= tile.end) { return; }
    for (var c = 0u; c < HEAD_VECS; c++) {
        var key_gradient = dk[c] * params.scale;
        var value_gradient = dv[c];
        if (params.accumulate != 0u) {
            key_gradient += dqkv[key_at + c];
            value_gradient += dqkv[value_at + c];
        }
        dqkv[key_at + c] = key_gradient;
        dqkv[value_at + c] = value_gradient;
    }
}
