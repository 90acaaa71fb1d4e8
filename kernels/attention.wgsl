// Causal grouped-query attention over packed segments that share prompt prefixes (FlashAttention-2, arXiv 2307.08691):
//   out = softmax(q k^T / sqrt(D)) v, with scores never stored; the log-sum-exp of each row is.
// qkv, dqkv (T, (H + 2J) D); out, dout (T, H D); lse, row_dot (T, H). Segments and tiles: see src/ops/packed_layout.ts.
// D = 4 HEAD_VECS. Scores are in units of log 2, so that exp2 serves.
// forward, backward_query: a workgroup is a tile of query tokens and a head, a lane is one query; backward_key: a tile of
// key tokens and a key/value head, a lane is one key. The rows of the other side are walked through in blocks and reach
// all lanes through the *_of functions, see attention/shuffle.wgsl and attention/direct.wgsl.
// Arrays are registers: the loops over them have constant bounds and are unrolled by the driver.

struct Params {
    tiles: u32,        // tiles in use
    heads: u32,        // H
    key_heads: u32,    // J
    scale: f32,        // 1 / sqrt(D)
    accumulate: u32,   // backward*: add to dqkv instead of writing it
}

override TILE: u32 = 32u;
override BLOCK: u32 = 4u;       // rows of the other side at a time; at most MAX_BLOCK
override HEAD_VECS: u32 = 4u;   // at most MAX_HEAD_VECS

const MAX_BLOCK = 16u;
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

// The token that is `position` tokens after the start of the prompt.
fn token_at(tile: Tile, position: u32) -> u32 {
    return select(tile.start - tile.prefix, tile.prefix_start, position < tile.prefix) + position;
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
    var rows: array<u32, MAX_BLOCK>;
    var p: array<f32, MAX_BLOCK>;
    for (var n = 0u; n < keys; n += BLOCK) {
        let mine = token_at(tile, min(n + lane, keys - 1u)) * row;
        for (var u = 0u; u < BLOCK; u++) {
            rows[u] = token_at(tile, min(n + u, keys - 1u)) * row;
            p[u] = 0.0;
        }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let held = qkv[mine + key_column + c];
            for (var u = 0u; u < BLOCK; u++) {
                p[u] += dot(q[c], qkv_of(held, u, rows[u] + key_column + c));
            }
        }
        let before = largest;
        for (var u = 0u; u < BLOCK; u++) {
            p[u] = select(NEVER, p[u], n + u <= position);
            largest = max(largest, p[u]);
        }
        let shrink = exp2(before - largest);
        weight *= shrink;
        for (var u = 0u; u < BLOCK; u++) {
            p[u] = exp2(p[u] - largest);
            weight += p[u];
        }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let held = qkv[mine + value_column + c];
            var sum = total[c] * shrink;
            for (var u = 0u; u < BLOCK; u++) {
                sum += p[u] * qkv_of(held, u, rows[u] + value_column + c);
            }
            total[c] = sum;
        }
    }
    if (tile.first + lane >= tile.end) { return; }
    let share = 1.0 / weight;
    for (var c = 0u; c < HEAD_VECS; c++) {
        out[(token * params.heads + head) * HEAD_VECS + c] = total[c] * share;
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
    var rows: array<u32, MAX_BLOCK>;
    var p: array<f32, MAX_BLOCK>;
    var ds: array<f32, MAX_BLOCK>;
    for (var n = 0u; n < keys; n += BLOCK) {
        let mine = token_at(tile, min(n + lane, keys - 1u)) * row;
        for (var u = 0u; u < BLOCK; u++) {
            rows[u] = token_at(tile, min(n + u, keys - 1u)) * row;
            p[u] = 0.0;
            ds[u] = -along;
        }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let held_key = qkv[mine + key_column + c];
            let held_value = qkv[mine + value_column + c];
            for (var u = 0u; u < BLOCK; u++) {
                p[u] += dot(q[c], qkv_of(held_key, u, rows[u] + key_column + c));
                ds[u] += dot(d[c], qkv_of(held_value, u, rows[u] + value_column + c));
            }
        }
        for (var u = 0u; u < BLOCK; u++) {
            ds[u] *= exp2(select(NEVER, p[u], n + u <= position) - level);
        }
        for (var c = 0u; c < HEAD_VECS; c++) {
            let held = qkv[mine + key_column + c];
            var sum = total[c];
            for (var u = 0u; u < BLOCK; u++) {
                sum += ds[u] * qkv_of(held, u, rows[u] + key_column + c);
            }
            total[c] = sum;
        }
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
    var queries: array<u32, MAX_BLOCK>;
    var p: array<f32, MAX_BLOCK>;
    var ds: array<f32, MAX_BLOCK>;
    for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
        let column = head * HEAD_VECS;
        for (var i = tile.first; i < tile.query_end; i += BLOCK) {
            let my_query = min(i + lane, tile.query_end - 1u);
            let mine = my_query * row + column;
            let my_dout = (my_query * params.heads + head) * HEAD_VECS;
            let held_lse = saved_lse[my_query * params.heads + head];
            let held_row_dot = saved_row_dot[my_query * params.heads + head];
            for (var u = 0u; u < BLOCK; u++) {
                queries[u] = min(i + u, tile.query_end - 1u);
                p[u] = -lse_of(held_lse, u, queries[u] * params.heads + head);
                ds[u] = -row_dot_of(held_row_dot, u, queries[u] * params.heads + head);
            }
            for (var c = 0u; c < HEAD_VECS; c++) {
                let held_q = qkv[mine + c];
                let held_dout = dout[my_dout + c];
                for (var u = 0u; u < BLOCK; u++) {
                    let dout_at = (queries[u] * params.heads + head) * HEAD_VECS + c;
                    p[u] += dot(k[c], qkv_of(held_q, u, queries[u] * row + column + c));
                    ds[u] += dot(v[c], dout_of(held_dout, u, dout_at));
                }
            }
            for (var u = 0u; u < BLOCK; u++) {
                p[u] = exp2(select(NEVER, p[u], i + u >= token && i + u < tile.query_end));
                ds[u] *= p[u];
            }
            for (var c = 0u; c < HEAD_VECS; c++) {
                let held_q = qkv[mine + c];
                let held_dout = dout[my_dout + c];
                var key_sum = dk[c];
                var value_sum = dv[c];
                for (var u = 0u; u < BLOCK; u++) {
                    let dout_at = (queries[u] * params.heads + head) * HEAD_VECS + c;
                    key_sum += ds[u] * qkv_of(held_q, u, queries[u] * row + column + c);
                    value_sum += p[u] * dout_of(held_dout, u, dout_at);
                }
                dk[c] = key_sum;
                dv[c] = value_sum;
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
