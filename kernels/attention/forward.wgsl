// needs: attention, numbers, workgroup
// Attention, forward: a workgroup is a tile of query tokens and a head, a lane is one query that walks over its keys with
// an online softmax. See attention.wgsl.

@group(0) @binding(7) var<storage, read_write> out: array<Pack>;
@group(0) @binding(8) var<storage, read_write> stats: array<f32>;

var<private> q: array<vec4f, MAX_VECS>;
var<private> total: array<vec4f, MAX_VECS>;
var<private> own: u32;        // where q and later out begin
var<private> mine: u32;       // where the key begins that this lane holds for the block
var<private> low: vec4u;      // where the keys of the block begin
var<private> high: vec4u;
var<private> values: u32;     // from a key to its value
var<private> p_low: vec4f;    // scores, then probabilities, of the block's keys
var<private> p_high: vec4f;
var<private> factor: f32;

fn start(i: u32, part: vec4f) {
    q[i] = part * factor;
    total[i] = vec4f();
}

fn start_pack(c: u32) {
    let pack = qkv[own + c];
    start(PARTS * c, even(pack));
    if (PARTS > 1u) { start(PARTS * c + 1u, odd(pack)); }
}

fn add_score(i: u32, held: vec4f, c: u32) {
    p_low += q[i] * qkv_rows(held, 0u, low + c);
    if (BLOCK > 4u) { p_high += q[i] * qkv_rows(held, 4u, high + c); }
}

fn score_pack(c: u32) {
    let held = qkv[mine + c];
    add_score(PARTS * c, even(held), c);
    if (PARTS > 1u) { add_score(PARTS * c + 1u, odd(held), c); }
}

fn add_value(i: u32, held: vec4f, c: u32) {
    var sum = total[i] * factor + qkv_rows(held, 0u, low + c) * p_low;
    if (BLOCK > 4u) { sum += qkv_rows(held, 4u, high + c) * p_high; }
    total[i] = sum;
}

fn sum_pack(c: u32) {
    let held = qkv[mine + values + c];
    add_value(PARTS * c, even(held), values + c);
    if (PARTS > 1u) { add_value(PARTS * c + 1u, odd(held), values + c); }
}

fn write_pack(c: u32) {
    let i = PARTS * c;
    out[own + c] = join(total[i] * factor, total[i + PARTS - 1u] * factor);
}

@compute @workgroup_size(TILE)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(group);
    let head = id % params.heads;
    if (id / params.heads >= params.tiles) { return; }
    let tile = read_tile(id / params.heads);
    let row = (params.heads + 2u * params.key_heads) * HEAD_PACKS;
    let key_column = (params.heads + head * params.key_heads / params.heads) * HEAD_PACKS;
    let token = min(tile.first + lane, tile.end - 1u);
    let position = token - tile.start + tile.prefix;
    let keys = tile.end - tile.start + tile.prefix;

    own = token * row + head * HEAD_PACKS;
    values = params.key_heads * HEAD_PACKS;
    factor = params.scale * LOG2E;
    each_start_pack();
    var largest = NEVER;
    var weight = 0.0;
    for (var n = 0u; n < keys; n += BLOCK) {
        let last = vec4u(keys - 1u);
        mine = tokens_at(tile, min(vec4u(n + lane), last)).x * row + key_column;
        low = tokens_at(tile, min(n + LOW, last)) * row + key_column;
        high = tokens_at(tile, min(n + HIGH, last)) * row + key_column;
        p_low = vec4f();
        p_high = vec4f();
        each_score_pack();
        p_low = select(vec4f(NEVER), p_low, n + LOW <= vec4u(position));
        p_high = select(vec4f(NEVER), p_high, n + HIGH <= vec4u(position));
        let before = largest;
        largest = max(largest, max4(p_low));
        if (BLOCK > 4u) { largest = max(largest, max4(p_high)); }
        factor = exp2(before - largest);
        p_low = exp2(p_low - largest);
        weight = weight * factor + sum4(p_low);
        if (BLOCK > 4u) {
            p_high = exp2(p_high - largest);
            weight += sum4(p_high);
        }
        each_sum_pack();
    }
    if (tile.first + lane >= tile.end) { return; }
    own = (token * params.heads + head) * HEAD_PACKS;
    let sum = softmax_sum(weight);
    factor = 1.0 / sum;
    each_write_pack();
    stats[2u * (token * params.heads + head)] = select(sum, largest + log2(sum), is_finite(sum));
}
