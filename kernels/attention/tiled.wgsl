// needs: pack, block, segments, numbers, workgroup
// Attention, forward, for graphics processors (FlashAttention-2, arXiv 2307.08691): a workgroup of 2 TILE invocations is a
// tile of query tokens and a head. Queries, and KEYS keys or values at a time, lie in workgroup memory. An invocation
// computes the scores of four queries and four keys (two of 16), and adds up four queries' sums of up to four packs: each
// number that it loads serves several products. See attention.wgsl.

@group(0) @binding(7) var<storage, read_write> out: array<Pack>;
@group(0) @binding(8) var<storage, read_write> stats: array<f32>;

override HEAD_PACKS: u32 = 4u;
override KEYS: u32 = 32u;        // at a time: 32 or 16
override GROUPS: u32 = 8u;       // TILE / 4

// Rows are a pack apart, so that neighbours lie in different banks.
var<workgroup> queries: array<vec4f, TILE * (HEAD_PACKS + 1u)>;
var<workgroup> rows: array<vec4f, KEYS * (HEAD_PACKS + 1u)>;
var<workgroup> weights: array<f32, TILE * (KEYS + 1u)>;      // scores, then probabilities
var<workgroup> factors: array<f32, TILE>;                    // what sums so far count

struct Four { q0: vec4f, q1: vec4f, q2: vec4f, q3: vec4f }

// Keys or values of a block; those beyond the last repeat it.
fn bring(tile: Tile, n: u32, last: u32, column: u32, id: u32) {
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    for (var i = id; i < KEYS * HEAD_PACKS; i += 2u * TILE) {
        let token = tokens_at(tile, vec4u(min(n + i / HEAD_PACKS, last))).x;
        rows[i / HEAD_PACKS * (HEAD_PACKS + 1u) + i % HEAD_PACKS] =
            even(qkv[token * row + column + i % HEAD_PACKS]);
    }
}

fn put_score(query: u32, key: u32, score: f32, visible: bool) {
    weights[query * (KEYS + 1u) + key] = select(NEVER, score, visible);
}

fn put_scores(query: u32, key: u32, scores: vec4f, n: u32, position: u32) {
    put_score(query, key, scores.x, n + key <= position);
    put_score(query, key + 8u, scores.y, n + key + 8u <= position);
    if (KEYS > 16u) {
        put_score(query, key + 16u, scores.z, n + key + 16u <= position);
        put_score(query, key + 24u, scores.w, n + key + 24u <= position);
    }
}

fn add_values(sum: Four, y: u32, pack: u32) -> Four {
    let stride = KEYS + 1u;
    var q0 = sum.q0 * factors[y];
    var q1 = sum.q1 * factors[y + GROUPS];
    var q2 = sum.q2 * factors[y + 2u * GROUPS];
    var q3 = sum.q3 * factors[y + 3u * GROUPS];
    for (var key = 0u; key < KEYS; key++) {
        let value = rows[key * (HEAD_PACKS + 1u) + pack];
        q0 += weights[y * stride + key] * value;
        q1 += weights[(y + GROUPS) * stride + key] * value;
        q2 += weights[(y + 2u * GROUPS) * stride + key] * value;
        q3 += weights[(y + 3u * GROUPS) * stride + key] * value;
    }
    return Four(q0, q1, q2, q3);
}

fn put_row(tile: Tile, head: u32, query: u32, pack: u32, sum: vec4f) {
    let token = tile.first + query;
    if (token >= tile.end) { return; }
    out[(token * params.heads + head) * HEAD_PACKS + pack] =
        join(sum * factors[query], sum * factors[query]);
}

fn put(tile: Tile, head: u32, y: u32, pack: u32, sum: Four) {
    put_row(tile, head, y, pack, sum.q0);
    put_row(tile, head, y + GROUPS, pack, sum.q1);
    put_row(tile, head, y + 2u * GROUPS, pack, sum.q2);
    put_row(tile, head, y + 3u * GROUPS, pack, sum.q3);
}

@compute @workgroup_size(2u * TILE)
fn forward(group: Workgroup, @builtin(local_invocation_index) id: u32) {
    let work = number_of(group);
    let head = work % params.heads;
    if (work / params.heads >= params.tiles) { return; }
    let tile = read_tile(work / params.heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    let key_column = (params.heads + head * params.key_heads / params.heads) * HEAD_PACKS;
    let value_column = key_column + params.key_heads * HEAD_PACKS;
    let keys = tile.end - tile.start + tile.prefix;
    // Position of the tile's first query; those beyond the last of the segment see no more than it.
    let first = tile.first - tile.start + tile.prefix;
    let y = id / 8u;                  // queries y, y + GROUPS, ...
    let x = id % 8u;                  // keys x, x + 8, ..., and packs x, x + 8, ...

    for (var i = id; i < TILE * HEAD_PACKS; i += 2u * TILE) {
        let token = min(tile.first + i / HEAD_PACKS, tile.end - 1u);
        queries[i / HEAD_PACKS * (HEAD_PACKS + 1u) + i % HEAD_PACKS] =
            even(qkv[token * row + head * HEAD_PACKS + i % HEAD_PACKS]) * (params.scale * LOG2E);
    }
    var largest = NEVER;              // of query id, if there is one
    var weight = 0.0;
    var sum0: Four;
    var sum1: Four;
    var sum2: Four;
    var sum3: Four;
    for (var n = 0u; n < keys; n += KEYS) {
        workgroupBarrier();
        bring(tile, n, keys - 1u, key_column, id);
        workgroupBarrier();
        var s0 = vec4f();
        var s1 = vec4f();
        var s2 = vec4f();
        var s3 = vec4f();
        let stride = HEAD_PACKS + 1u;
        for (var c = 0u; c < HEAD_PACKS; c++) {
            let at = x * stride + c;
            var block = mat4x4f(rows[at], rows[at + 8u * stride], vec4f(), vec4f());
            if (KEYS > 16u) {
                block[2] = rows[at + 16u * stride];
                block[3] = rows[at + 24u * stride];
            }
            s0 += queries[y * stride + c] * block;
            s1 += queries[(y + GROUPS) * stride + c] * block;
            s2 += queries[(y + 2u * GROUPS) * stride + c] * block;
            s3 += queries[(y + 3u * GROUPS) * stride + c] * block;
        }
        let last = keys - 1u;
        put_scores(y, x, s0, n, min(first + y, last));
        put_scores(y + GROUPS, x, s1, n, min(first + y + GROUPS, last));
        put_scores(y + 2u * GROUPS, x, s2, n, min(first + y + 2u * GROUPS, last));
        put_scores(y + 3u * GROUPS, x, s3, n, min(first + y + 3u * GROUPS, last));
        workgroupBarrier();
        bring(tile, n, keys - 1u, value_column, id);
        if (id < TILE) {
            let at = id * (KEYS + 1u);
            let before = largest;
            for (var key = 0u; key < KEYS; key++) { largest = max(largest, weights[at + key]); }
            let factor = exp2(before - largest);
            weight *= factor;
            for (var key = 0u; key < KEYS; key++) {
                let p = exp2(weights[at + key] - largest);
                weights[at + key] = p;
                weight += p;
            }
            factors[id] = factor;
        }
        workgroupBarrier();
        if (x < HEAD_PACKS) { sum0 = add_values(sum0, y, x); }
        if (x + 8u < HEAD_PACKS) { sum1 = add_values(sum1, y, x + 8u); }
        if (x + 16u < HEAD_PACKS) { sum2 = add_values(sum2, y, x + 16u); }
        if (x + 24u < HEAD_PACKS) { sum3 = add_values(sum3, y, x + 24u); }
    }
    workgroupBarrier();
    if (id < TILE) {
        let sum = softmax_sum(weight);
        factors[id] = 1.0 / sum;
        if (tile.first + id < tile.end) {
            stats[2u * ((tile.first + id) * params.heads + head)] =
                select(sum, largest + log2(sum), is_finite(sum));
        }
    }
    workgroupBarrier();
    if (x < HEAD_PACKS) { put(tile, head, y, x, sum0); }
    if (x + 8u < HEAD_PACKS) { put(tile, head, y, x + 8u, sum1); }
    if (x + 16u < HEAD_PACKS) { put(tile, head, y, x + 16u, sum2); }
    if (x + 24u < HEAD_PACKS) { put(tile, head, y, x + 24u, sum3); }
}
