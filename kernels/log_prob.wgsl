// Log-probability of chosen tokens under softmax(logits / temperature), and the entropy of that softmax.
// logits (T, V), any V; N scored items belong to rows through the CSR table row_offsets (T+1), row_items (N);
// item_targets (N); log_probs, entropies (N). Per row, saved for the gradient: the largest logit, the logarithm of
// sum(exp((logit - largest) / temperature)), and the entropy.
// One team per row, two passes over the row; log-softmax is never stored. Rows without items cost nothing.

struct Params {
    rows: u32,             // T
    columns: u32,          // V
    temperature: f32,
    has_dlog_probs: u32,   // backward
    has_dentropies: u32,   // backward
    accumulate: u32,       // backward: add to dlogits
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> row_offsets: array<u32>;
@group(0) @binding(3) var<storage, read> row_items: array<u32>;
@group(0) @binding(4) var<storage, read> item_targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> log_probs: array<f32>;
@group(0) @binding(6) var<storage, read_write> entropies: array<f32>;
@group(0) @binding(7) var<storage, read_write> row_stats: array<f32>;      // (T, 3)

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let first = row_offsets[row];
    let last = row_offsets[row + 1u];
    if (first == last) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    let inverse = 1.0 / params.temperature;

    var most = -0x1.fffffep+127;
    for (var c = begin + lane; c < end; c += LANES) {
        most = max(most, logits[c]);
    }
    let largest = team_max(most, lane);

    var weight = 0.0;
    var weighted = 0.0;
    for (var c = begin + lane; c < end; c += LANES) {
        let z = (logits[c] - largest) * inverse;
        let e = exp(z);
        weight += e;
        weighted += select(e * z, 0.0, e == 0.0);   // a logit of -inf has no part in the entropy
    }
    let total = team_sum(weight, lane);
    let log_total = log(total);
    let entropy = log_total - team_sum(weighted, lane) / total;

    for (var k = first + lane; k < last; k += LANES) {
        let item = row_items[k];
        log_probs[item] = (logits[begin + item_targets[item]] - largest) * inverse - log_total;
        entropies[item] = entropy;
    }
    if (lane == 0u) {
        row_stats[3u * row] = largest;
        row_stats[3u * row + 1u] = log_total;
        row_stats[3u * row + 2u] = entropy;
    }
}

@group(0) @binding(8) var<storage, read> saved_stats: array<f32>;          // (T, 3)
@group(0) @binding(9) var<storage, read> dlog_probs: array<f32>;
@group(0) @binding(10) var<storage, read> dentropies: array<f32>;
@group(0) @binding(11) var<storage, read_write> dlogits: array<f32>;

// dlogits[v] = (1/temperature) (sum_i g_i [v = target_i] - p_v (sum_i g_i + sum_i ge_i (ln p_v + H)))
// A lane adds the g_i of the columns it wrote itself, in the order of the items: no barrier, and one order always.
@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let first = row_offsets[row];
    let last = row_offsets[row + 1u];
    let begin = row * params.columns;
    let end = begin + params.columns;
    if (first == last) {
        if (params.accumulate == 0u) {
            for (var c = begin + lane; c < end; c += LANES) {
                dlogits[c] = 0.0;
            }
        }
        return;
    }
    var g = 0.0;
    var ge = 0.0;
    for (var k = first; k < last; k++) {
        if (params.has_dlog_probs != 0u) { g += dlog_probs[row_items[k]]; }
        if (params.has_dentropies != 0u) { ge += dentropies[row_items[k]]; }
    }
    let inverse = 1.0 / params.temperature;
    let largest = saved_stats[3u * row];
    let log_total = saved_stats[3u * row + 1u];
    let entropy = saved_stats[3u * row + 2u];
    g *= inverse;
    ge *= inverse;
    for (var c = begin + lane; c < end; c += LANES) {
        let log_p = (logits[c] - largest) * inverse - log_total;
        let p = exp(log_p);
        var d = -p * g;
        if (params.has_dentropies != 0u) { d -= select(p * (log_p + entropy) * ge, 0.0, p == 0.0); }
        if (params.accumulate != 0u) { d += dlogits[c]; }
        dlogits[c] = d;
    }
    if (params.has_dlog_probs != 0u) {
        for (var k = first; k < last; k++) {
            let target_column = item_targets[row_items[k]];
            if (target_column % LANES == lane) {
                dlogits[begin + target_column] += dlog_probs[row_items[k]] * inverse;
            }
        }
    }
}
