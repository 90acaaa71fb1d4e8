// needs: pack, rows, numbers, workgroup
// Log-probability of chosen tokens under softmax(logits / temperature), and the entropy of that softmax.
// logits (T, V), any V; N scored items belong to rows through the CSR table row_offsets (T+1), row_items (N);
// item_targets (N); log_probs, entropies (N). Per row, saved for the gradient: the largest logit, the logarithm of
// sum(exp((logit - largest) / temperature)), and the entropy.
// One pass over the row forward, one backward; log-softmax is never stored. Rows without items cost nothing.
// The vocabulary may come in ranges, one dispatch each, in order: what a lane knows waits in row_sums, so that the cuts do
// not change a bit.

struct Params {
    rows: u32,             // T
    columns: u32,          // packs per row, of this range
    first_column: u32,     // packs of the ranges before
    is_last: u32,          // forward: no range follows
    temperature: f32,
    has_dlog_probs: u32,   // backward
    has_dentropies: u32,   // backward
    accumulate: u32,       // backward: add to dlogits
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Pack>;
@group(0) @binding(2) var<storage, read> row_offsets: array<u32>;
@group(0) @binding(3) var<storage, read> row_items: array<u32>;
@group(0) @binding(4) var<storage, read> item_targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> log_probs: array<f32>;
@group(0) @binding(6) var<storage, read_write> entropies: array<f32>;
@group(0) @binding(7) var<storage, read_write> row_stats: array<f32>;      // (T, 3)
@group(0) @binding(13) var<storage, read_write> row_sums: array<f32>;      // (T, lanes of a row, 3), of the ranges so far

const LOWEST = -0x1.fffffep+127f;
// What is this far below the largest has no part in a sum; exp of it is 0.
const VANISHES = -150f;

// The first pack of this range that a lane visits: it goes on where it was in the range before.
fn first_of_range(lane: u32) -> u32 {
    return (first_pack(lane) + PACK_STEP - params.first_column % PACK_STEP) % PACK_STEP;
}

fn is_here(wanted: u32) -> bool {
    let pack = wanted / PACK_SIZE;
    return pack >= params.first_column && pack - params.first_column < params.columns;
}

// The logit of a column, of a row that begins with the pack `begin`: sums of it and zeros.
fn logit_of(begin: u32, column: u32) -> f32 {
    let pack = logits[begin - params.first_column + column / PACK_SIZE];
    let index = column % PACK_SIZE;
    let a = select(Part(), even(pack), even_is(index));
    let b = select(Part(), odd(pack), odd_is(index));
    return sum_part(sum_parts(a, b));
}

@compute @workgroup_size(LANES)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let first = row_offsets[row];
    let last = row_offsets[row + 1u];
    if (first == last) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    let inverse = 1.0 / params.temperature;

    // Sums of e^z and z e^z with z = (logit - largest so far) / temperature.
    var largest = LOWEST;
    var weight = 0.0;
    var weighted = 0.0;
    let saved = 3u * (row * PACK_STEP + first_pack(lane));
    if (params.first_column != 0u) {
        largest = row_sums[saved];
        weight = row_sums[saved + 1u];
        weighted = row_sums[saved + 2u];
    }
    for (var i = begin + first_of_range(lane); i < end; i += PACK_STEP) {
        let pack = logits[i];
        let a = even(pack);
        let b = odd(pack);
        let before = largest;
        largest = max(before, max_part(max_parts(a, b)));
        let down = max((before - largest) * inverse, VANISHES);
        let shrink = exp(down);
        let za = (a - largest) * inverse;
        let zb = (b - largest) * inverse;
        let ea = exp(za);
        let eb = exp(zb);
        // A logit of -inf has no part in the entropy.
        let more = sum_parts(select(ea * za, Part(), ea == Part()), select(eb * zb, Part(), eb == Part()));
        weighted = shrink * (weighted + down * weight) + sum_part(more);
        weight = shrink * weight + sum_part(sum_parts(ea, eb));
    }
    if (params.is_last == 0u) {
        row_sums[saved] = largest;
        row_sums[saved + 1u] = weight;
        row_sums[saved + 2u] = weighted;
        for (var k = first + first_pack(lane); k < last; k += PACK_STEP) {
            let item = row_items[k];
            if (is_here(item_targets[item])) { log_probs[item] = logit_of(begin, item_targets[item]); }
        }
        return;
    }
    let top = row_max(largest, lane);
    let down = max((largest - top) * inverse, VANISHES);
    let total = softmax_sum(row_sum(exp(down) * weight, lane));
    let log_total = log_of(total);
    let entropy = log_total - row_sum(exp(down) * (weighted + down * weight), lane) / total;

    for (var k = first + first_pack(lane); k < last; k += PACK_STEP) {
        let item = row_items[k];
        var logit = 0.0;
        if (is_here(item_targets[item])) {
            logit = logit_of(begin, item_targets[item]);
        } else {
            logit = log_probs[item];
        }
        log_probs[item] = (logit - top) * inverse - log_total;
        entropies[item] = entropy;
    }
    if (writes_row(lane)) {
        row_stats[3u * row] = top;
        row_stats[3u * row + 1u] = log_total;
        row_stats[3u * row + 2u] = entropy;
    }
}

@group(0) @binding(8) var<storage, read> saved_stats: array<f32>;          // (T, 3)
@group(0) @binding(9) var<storage, read> dlog_probs: array<f32>;
@group(0) @binding(10) var<storage, read> dentropies: array<f32>;
@group(0) @binding(11) var<storage, read_write> dlogits: array<Pack>;

// What all numbers of a row have in common.
struct Row {
    largest: f32,
    log_total: f32,
    entropy: f32,
    inverse: f32,   // 1 / temperature
    g: f32,         // of all its items, over the temperature
    ge: f32,
}

fn gradient(row: Row, logit: Part) -> Part {
    let log_p = (logit - row.largest) * row.inverse - row.log_total;
    let p = exp(log_p);
    if (params.has_dentropies == 0u) { return -p * row.g; }
    return -p * row.g - select(p * (log_p + row.entropy) * row.ge, Part(), p == Part());
}

// What the items of a row have in common.
fn row_gradient(row: u32, first: u32, last: u32) -> Row {
    var g = 0.0;
    var ge = 0.0;
    for (var k = first; k < last; k++) {
        if (params.has_dlog_probs != 0u) { g += dlog_probs[row_items[k]]; }
        if (params.has_dentropies != 0u) { ge += dentropies[row_items[k]]; }
    }
    let inverse = 1.0 / params.temperature;
    let log_total = saved_stats[3u * row + 1u];
    if (!is_finite(log_total)) { g = not_a_number(); }
    return Row(
        saved_stats[3u * row],
        log_total,
        saved_stats[3u * row + 2u],
        inverse,
        g * inverse,
        ge * inverse,
    );
}

// A lane adds the g_i of the packs it wrote itself, in the order of the items: no barrier, and one order always.
fn add_targets(begin: u32, first: u32, last: u32, lane: u32) {
    if (params.has_dlog_probs == 0u) { return; }
    let inverse = 1.0 / params.temperature;
    for (var k = first; k < last; k++) {
        let wanted = item_targets[row_items[k]];
        if (!is_here(wanted) || !visits(wanted / PACK_SIZE, lane)) { continue; }
        let more = dlog_probs[row_items[k]] * inverse;
        let index = wanted % PACK_SIZE;
        let at = begin + wanted / PACK_SIZE - params.first_column;
        let before = dlogits[at];
        let a = even(before);
        let b = odd(before);
        dlogits[at] = join(
            select(a, a + more, even_is(index)),
            select(b, b + more, odd_is(index)),
        );
    }
}

// dlogits[v] = (1/temperature) (sum_i g_i [v = target_i] - p_v (sum_i g_i + sum_i ge_i (ln p_v + H)))
@compute @workgroup_size(LANES)
fn backward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let first = row_offsets[row];
    let last = row_offsets[row + 1u];
    let begin = row * params.columns;
    let end = begin + params.columns;
    if (first == last) {
        if (params.accumulate == 0u) {
            for (var i = begin + first_of_range(lane); i < end; i += PACK_STEP) {
                dlogits[i] = join(Part(), Part());
            }
        }
        return;
    }
    let of_row = row_gradient(row, first, last);
    for (var i = begin + first_of_range(lane); i < end; i += PACK_STEP) {
        let pack = logits[i];
        var a = gradient(of_row, even(pack));
        var b = gradient(of_row, odd(pack));
        if (params.accumulate != 0u) {
            let before = dlogits[i];
            a += even(before);
            b += odd(before);
        }
        dlogits[i] = join(a, b);
    }
    add_targets(begin, first, last, lane);
}

// As `backward`, where dlogits holds the logits.
@compute @workgroup_size(LANES)
fn backward_in_place(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let first = row_offsets[row];
    let last = row_offsets[row + 1u];
    let begin = row * params.columns;
    let end = begin + params.columns;
    if (first == last) {
        for (var i = begin + first_of_range(lane); i < end; i += PACK_STEP) {
            dlogits[i] = join(Part(), Part());
        }
        return;
    }
    let of_row = row_gradient(row, first, last);
    for (var i = begin + first_of_range(lane); i < end; i += PACK_STEP) {
        let pack = dlogits[i];
        dlogits[i] = join(gradient(of_row, even(pack)), gradient(of_row, odd(pack)));
    }
    add_targets(begin, first, last, lane);
}
