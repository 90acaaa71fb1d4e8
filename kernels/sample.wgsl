// needs: team, threefry, numbers, workgroup
// Draws the next token of active sequences from softmax(logits / temperature), or takes the most likely one at
// temperature 0, and advances their state.
// logits (R, V), any V up to 2^24, or some of the rows, each range of the vocabulary after the other; rows, slots (A): logits row and sequence b of each; eos (eos_count);
// tokens, log_probs (B, M); lengths, finished, last_tokens (B); entropy_sums (B): of the distributions drawn from.
// One team per active sequence, two passes over the row. Random words come from Threefry keyed by (run key, sample id,
// position) with the vocabulary index as counter, the sample id of sequence b being first_sample_id + b: a token depends
// on nothing else, neither the batch nor LANES.
// argmax(z - ln E) with E exponentially distributed is a draw from softmax(z) (Gumbel-max); as argmax(exp(z) / E) it
// needs no second logarithm, and the exponentials give the log-probability too.
// With TRUNCATES only tokens whose logit reaches a threshold are drawn: min-p, then top-k, then top-p, as vLLM has them
// (log-probabilities and entropies stay those of all tokens). Thresholds are found digit by digit in the order of the
// floats, by sums of integers, which depend on no order either; equal logits share their fate.

struct Params {
    count: u32,            // A
    columns: u32,          // V
    stride: u32,           // M
    limit: u32,            // tokens per sequence, at most M
    eos_count: u32,
    temperature: f32,
    key_low: u32,
    key_high: u32,
    first_sample_id: u32,
    first_row: u32,        // the rows that logits has; sequences of others are left as they are
    row_count: u32,
    range_columns: u32,    // columns of a range, but the last; V if there is one range
    range_stride: u32,     // numbers from one range to the next
    lengths_at: u32,       // where in progress they begin
    finished_at: u32,
    last_tokens_at: u32,
    top_k: u32,            // 0 for all
    top_p: f32,            // 1 for all
    min_p_gap: f32,        // temperature ln(min_p)
    mass_scale: f32,       // a power of two of which V are at most 2^31
}

override TRUNCATES: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> slots: array<u32>;
@group(0) @binding(4) var<storage, read> eos: array<u32>;
@group(0) @binding(5) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;
@group(0) @binding(7) var<storage, read_write> entropy_sums: array<f32>;
@group(0) @binding(8) var<storage, read_write> progress: array<u32>;   // lengths, finished, last_tokens

// Where the logits of a row begin in the range that begins with column `first`.
fn row_begin(row: u32, first: u32) -> u32 {
    return first / params.range_columns * params.range_stride +
        row * min(params.range_columns, params.columns - first);
}

// e^z z for z <= 0; a logit of minus infinity has no part in the entropy
fn moment(e: f32, z: f32) -> f32 {
    return e * max(z, -0x1.fffffep+127);
}

// Integers in the order of floats; both zeros are one.
fn order_of(x: f32) -> u32 {
    let bits = select(bitcast<u32>(x), 0u, x == 0.0);
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn is_kept(logit: f32, threshold: u32) -> bool {
    if (!TRUNCATES) { return true; }
    return order_of(logit) >= threshold;
}

fn team_add_each(values: vec3u, lane: u32) -> vec3u {
    return vec3u(team_add(values.x, lane), team_add(values.y, lane), team_add(values.z, lane));
}

// Two binary digits at a time are tried, from the highest.
const FIRST_SHIFT = 30u;
const DIGIT_BITS = 2u;

// The digit that the last of three falling conditions allows.
fn digit_of(holds: vec3<bool>) -> u32 {
    let ones = select(vec3u(), vec3u(1u), holds);
    return ones.x + ones.y + ones.z;
}

// The order of the top_k-th largest logit; 0 if there are fewer.
fn kth_largest(row: u32, columns: u32, lane: u32) -> u32 {
    var found = 0u;
    for (var passed = 0u; passed <= FIRST_SHIFT; passed += DIGIT_BITS) {
        let shift = FIRST_SHIFT - passed;
        let bounds = vec3u(found) | (vec3u(1u, 2u, 3u) << vec3u(shift));
        var counts = vec3u();
        for (var first = 0u; first < columns; first += params.range_columns) {
            let begin = row_begin(row, first);
            let count = min(params.range_columns, columns - first);
            for (var i = lane; i < count; i += LANES) {
                counts += select(vec3u(), vec3u(1u), vec3u(order_of(logits[begin + i])) >= bounds);
            }
        }
        let totals = team_add_each(counts, lane);
        found |= digit_of(totals >= vec3u(params.top_k)) << shift;
        // Where a bound leaves just so many, lower digits do not matter.
        if (any(totals == vec3u(params.top_k))) { break; }
    }
    return found;
}

// Sums of exp((logit - largest) inverse) over the tokens that reach each of three rising bounds.
fn masses_above(
    row: u32,
    columns: u32,
    bounds: vec3u,
    largest: f32,
    inverse: f32,
    lane: u32,
) -> vec3f {
    // In fixed point: multiples of 1 / mass_scale, and of 2^-24 of that.
    var whole = vec3u();
    var parts = vec3u();
    for (var first = 0u; first < columns; first += params.range_columns) {
        let begin = row_begin(row, first);
        let count = min(params.range_columns, columns - first);
        for (var i = lane; i < count; i += LANES) {
            let logit = logits[begin + i];
            let order = order_of(logit);
            if (order < bounds.x) { continue; }
            let scaled = exp((logit - largest) * inverse) * params.mass_scale;
            let reaches = vec3u(order) >= bounds;
            whole += select(vec3u(), vec3u(u32(scaled)), reaches);
            parts += select(vec3u(), vec3u(u32(fract(scaled) * 0x1p+24)), reaches);
            whole += parts >> vec3u(24u);
            parts &= vec3u(0xffffffu);
        }
    }
    return vec3f(team_add_each(whole, lane)) + vec3f(team_add_each(parts, lane)) * 0x1p-24;
}

// The largest bound that tokens of top_p of the mass above `lowest` reach.
fn nucleus(row: u32, columns: u32, lowest: u32, largest: f32, inverse: f32, lane: u32) -> u32 {
    let wanted = params.top_p *
        masses_above(row, columns, vec3u(lowest), largest, inverse, lane).x;
    var found = 0u;
    for (var passed = 0u; passed <= FIRST_SHIFT; passed += DIGIT_BITS) {
        let shift = FIRST_SHIFT - passed;
        let bounds = vec3u(found) | (vec3u(1u, 2u, 3u) << vec3u(shift));
        let masses = masses_above(row, columns, max(bounds, vec3u(lowest)), largest, inverse, lane);
        found |= digit_of(masses >= vec3f(wanted)) << shift;
    }
    return found;
}

// The order of the least logit that is drawn.
fn threshold_of(row: u32, columns: u32, largest: f32, inverse: f32, lane: u32) -> u32 {
    var threshold = order_of(largest + params.min_p_gap);
    if (params.top_k > 0u) { threshold = max(threshold, kth_largest(row, columns, lane)); }
    if (params.top_p < 1.0) {
        threshold = max(threshold, nucleus(row, columns, threshold, largest, inverse, lane));
    }
    return threshold;
}

@compute @workgroup_size(LANES)
fn main(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(group);
    if (id >= params.count) { return; }
    let b = slots[id];
    let position = progress[params.lengths_at + b];
    let row = rows[id] - params.first_row;
    // Not an early return: what is read from memory that is written must not decide over barriers.
    let runs = progress[params.finished_at + b] == 0u && position < params.limit && row < params.row_count;
    let columns = select(0u, params.columns, runs);
    let greedy = params.temperature == 0.0;
    let inverse = select(1.0 / params.temperature, 1.0, greedy);

    var most = -0x1.fffffep+127;
    for (var first = 0u; first < columns; first += params.range_columns) {
        let begin = row_begin(row, first);
        let count = min(params.range_columns, columns - first);
        for (var i = lane; i < count; i += LANES) {
            most = max(most, logits[begin + i]);
        }
    }
    let largest = team_max(most, lane);
    var threshold = 0u;
    if (TRUNCATES && !greedy) {
        threshold = threshold_of(row, columns, largest, inverse, lane);
    }

    var weight = 0.0;
    var weighted = 0.0;
    var best = -1.0;
    var choice = params.columns - 1u;
    if (greedy) {
        for (var first = 0u; first < columns; first += params.range_columns) {
            let begin = row_begin(row, first);
            let count = min(params.range_columns, columns - first);
            for (var i = lane; i < count; i += LANES) {
                let logit = logits[begin + i];
                let e = exp(logit - largest);
                weight += e;
                weighted += moment(e, logit - largest);
                if (logit == largest && best < 0.0) {
                    best = 1.0;
                    choice = first + i;
                }
            }
        }
    } else {
        let row_key = threefry2x32(vec2u(params.key_low, params.key_high), vec2u(params.first_sample_id + b, position));
        for (var first = 0u; first < columns; first += params.range_columns) {
            let begin = row_begin(row, first);
            let count = min(params.range_columns, columns - first);
            // One block of random words serves two neighbouring tokens.
            for (var pair = lane; 2u * pair < count; pair += LANES) {
                let words = threefry2x32(row_key, vec2u(first / 2u + pair, 0u));
                let c = first + 2u * pair;
                let z = (logits[begin + 2u * pair] - largest) * inverse;
                let e = exp(z);
                let score = e / exponential(open_uniform(words.x));
                weight += e;
                weighted += moment(e, z);
                if (score > best && is_kept(logits[begin + 2u * pair], threshold)) {
                    best = score;
                    choice = c;
                }
                if (2u * pair + 1u < count) {
                    let next_z = (logits[begin + 2u * pair + 1u] - largest) * inverse;
                    let next_e = exp(next_z);
                    let next_score = next_e / exponential(open_uniform(words.y));
                    weight += next_e;
                    weighted += moment(next_e, next_z);
                    if (next_score > best && is_kept(logits[begin + 2u * pair + 1u], threshold)) {
                        best = next_score;
                        choice = c + 1u;
                    }
                }
            }
        }
    }
    let sum = softmax_sum(team_sum(weight, lane));
    let log_sum = log_of(sum);
    let entropy = log_sum - team_sum(weighted, lane) / sum;
    let winner = team_max(best, lane);
    // Of equal scores the lowest index wins; indices are exact as f32.
    let candidate = select(params.columns - 1u, choice, best == winner);
    let token = u32(-team_max(-f32(candidate), lane));

    if (lane == 0u && runs) {
        let at = b * params.stride + position;
        tokens[at] = token;
        let first = token / params.range_columns * params.range_columns;
        let logit = logits[row_begin(row, first) + token - first];
        log_probs[at] = (logit - largest) * inverse - log_sum;
        entropy_sums[b] = select(entropy_sums[b], 0.0, position == 0u) + entropy;
        progress[params.last_tokens_at + b] = token;
        progress[params.lengths_at + b] = position + 1u;
        var ends = position + 1u >= params.limit;
        for (var k = 0u; k < params.eos_count; k++) {
            ends = ends || token == eos[k];
        }
        if (ends) { progress[params.finished_at + b] = 1u; }
    }
}
