// needs: team, kl, numbers, workgroup
// Policy-gradient loss of N scored items, its derivatives, and the statistics of the step:
//   loss = sum_i w_b (l_i + beta kl_i - entropy_coef H_i), b = item_sequence(i), t = item_position(i)
// log_probs, entropies (N); old_log_probs, ref_log_probs (B, M) read at [b, t]; advantages, weights (B);
// derivatives (2, entropy_offset): of log_probs, then of entropies, then the chunks' statistics (chunks, 16), in one buffer
// because devices allow few;
// stats (16), added to (the maxima: raised).
// main: one team per chunk of items, a lane per item; sum_chunks: one team over the chunks, in a fixed order.
// response_ratio: one team per response, before main, for the surrogates that look at whole responses; the items of a
// response are contiguous. A function own(Token) -> TokenLoss is appended.

const REINFORCE = 0u;
const PPO = 1u;
const CISPO = 2u;
const SAPO = 3u;
const DPPO = 4u;
const GSPO = 5u;
const GMPO = 6u;
const LUSPO = 7u;
const VESPO = 8u;

const OWN = 1000u;      // what `own` of the host gives

override POLICY_LOSS: u32 = PPO;
override LOOKS_AT_RESPONSES: bool = POLICY_LOSS >= GSPO && POLICY_LOSS <= VESPO;

struct Params {
    items: u32,                     // N
    stride: u32,                    // M
    responses: u32,                 // response_ratio: rows of item_ranges
    chunk_items: u32,
    chunks: u32,
    entropy_offset: u32,            // N at its largest, rounded up to the alignment of views
    sequences_at: u32,              // where in item_places they begin
    positions_at: u32,
    epsilon: f32,
    epsilon_high: f32,
    dual_clip: f32,                 // 0: none
    sapo_temperature_pos: f32,
    sapo_temperature_neg: f32,
    beta: f32,
    entropy_coef: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> log_probs: array<f32>;
@group(0) @binding(2) var<storage, read> entropies: array<f32>;
@group(0) @binding(3) var<storage, read> item_places: array<u32>;        // sequences and positions
@group(0) @binding(4) var<storage, read> old_log_probs: array<f32>;
@group(0) @binding(5) var<storage, read> ref_log_probs: array<f32>;
@group(0) @binding(6) var<storage, read> advantages: array<f32>;
@group(0) @binding(7) var<storage, read> weights: array<f32>;
@group(0) @binding(8) var<storage, read_write> derivatives: array<f32>;

const LOG_RATIO_LIMIT = 20.0;
const LARGEST = 0x1.fffffep+127;

const CLIP_NONE = 0u;
const CLIP_LOW = 1u;
const CLIP_HIGH = 2u;
const CLIP_DUAL = 3u;

struct Token {
    log_prob: f32,
    old_log_prob: f32,
    log_ratio: f32,
    advantage: f32,
}

struct Response {
    mean_log_ratio: f32,
    length: f32,
}

fn item_sequence(i: u32) -> u32 { return item_places[params.sequences_at + i]; }

fn item_position(i: u32) -> u32 { return item_places[params.positions_at + i]; }

struct TokenLoss {
    loss: f32,
    dlog_prob: f32,
    clip: u32,
}

// For maxima, which may drop a NaN: whatever is not finite counts as the largest number.
fn finite_or_largest(value: f32) -> f32 {
    return select(LARGEST, value, is_finite(value));
}

fn bounded_ratio(log_ratio: f32) -> f32 {
    return exp(clamp(log_ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT));
}

fn moves(log_ratio: f32) -> bool {
    return abs(log_ratio) <= LOG_RATIO_LIMIT;
}

fn held_factor(factor: f32, log_prob: f32, advantage: f32, clip: u32) -> TokenLoss {
    return TokenLoss(-factor * advantage * log_prob, -factor * advantage, clip);
}

// max(-A r, -A clip(r)), with the dual clip where A < 0
fn clipped_ratio(log_ratio: f32, advantage: f32, dual_clip: f32) -> TokenLoss {
    let ratio = bounded_ratio(log_ratio);
    let free = -advantage * ratio;
    let clipped = -advantage * clamp(ratio, 1.0 - params.epsilon, 1.0 + params.epsilon_high);
    if (clipped > free) {
        return TokenLoss(clipped, 0.0, select(CLIP_LOW, CLIP_HIGH, advantage > 0.0));
    }
    if (dual_clip > 0.0 && advantage < 0.0 && ratio > dual_clip) {
        return TokenLoss(-advantage * dual_clip, 0.0, CLIP_DUAL);
    }
    return TokenLoss(free, select(0.0, free, moves(log_ratio)), CLIP_NONE);
}

fn reinforce(t: Token) -> TokenLoss {
    return TokenLoss(-t.advantage * t.log_prob, -t.advantage, CLIP_NONE);
}

fn cispo(t: Token) -> TokenLoss {
    let ratio = bounded_ratio(t.log_ratio);
    let low = 1.0 - params.epsilon;
    let high = 1.0 + params.epsilon_high;
    let clip = select(select(CLIP_NONE, CLIP_LOW, ratio < low), CLIP_HIGH, ratio > high);
    return held_factor(clamp(ratio, low, high), t.log_prob, t.advantage, clip);
}

fn sapo(t: Token) -> TokenLoss {
    let ratio = bounded_ratio(t.log_ratio);
    let tau = select(params.sapo_temperature_neg, params.sapo_temperature_pos, t.advantage > 0.0);
    // sigmoid and its complement, each without cancellation
    let e = exp(-tau * abs(ratio - 1.0));
    let near = 1.0 / (1.0 + e);
    let gate = select(e * near, near, ratio >= 1.0);
    let slope = -t.advantage * 4.0 * e * near * near * ratio;
    return TokenLoss(-t.advantage * 4.0 / tau * gate, select(0.0, slope, moves(t.log_ratio)), CLIP_NONE);
}

fn dppo(t: Token) -> TokenLoss {
    let gap = exp(t.log_prob) - exp(t.old_log_prob);
    if (t.advantage > 0.0 && gap > params.epsilon_high) { return TokenLoss(0.0, 0.0, CLIP_HIGH); }
    if (t.advantage <= 0.0 && gap < -params.epsilon) { return TokenLoss(0.0, 0.0, CLIP_LOW); }
    let ratio = bounded_ratio(t.log_ratio);
    let capped = params.dual_clip > 0.0 && ratio > params.dual_clip;
    return held_factor(
        select(ratio, params.dual_clip, capped), t.log_prob, t.advantage, select(CLIP_NONE, CLIP_DUAL, capped));
}

// The log-ratio of a token as it enters the geometric mean.
fn held_log_ratio(log_ratio: f32, advantage: f32) -> f32 {
    if (is_not_a_number(log_ratio)) { return log_ratio; }
    let bounded = clamp(log_ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT);
    if (advantage > 0.0) { return min(bounded, params.epsilon_high); }
    if (advantage < 0.0) { return max(bounded, -params.epsilon); }
    return bounded;
}

fn gmpo(t: Token, mean_log_ratio: f32) -> TokenLoss {
    let loss = -t.advantage * exp(mean_log_ratio);
    let bounded = clamp(t.log_ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT);
    if (held_log_ratio(t.log_ratio, t.advantage) != bounded) {
        return TokenLoss(loss, 0.0, select(CLIP_LOW, CLIP_HIGH, t.advantage > 0.0));
    }
    return TokenLoss(loss, select(0.0, loss, moves(t.log_ratio)), CLIP_NONE);
}

// gspo's loss times the length of the response
fn luspo(t: Token, whole: Response) -> TokenLoss {
    let gspo = clipped_ratio(whole.mean_log_ratio, t.advantage, 0.0);
    return TokenLoss(whole.length * gspo.loss, whole.length * gspo.dlog_prob, gspo.clip);
}

// ln W of the response held to [ln 1e-8, 20], weight W^k e^(lambda (1 - W)) with (k, lambda) by the sign of A
fn vespo(t: Token, whole: Response) -> TokenLoss {
    let log_w = clamp(whole.length * whole.mean_log_ratio, -18.420681, LOG_RATIO_LIMIT);
    let shape = select(vec2f(3.0, 2.0), vec2f(2.0, 3.0), t.advantage >= 0.0);
    return held_factor(exp(shape.x * log_w + shape.y * (1.0 - exp(log_w))), t.log_prob, t.advantage, CLIP_NONE);
}

// whole is left by response_ratio, for the surrogates that look at whole responses.
fn surrogate(t: Token, whole: Response) -> TokenLoss {
    switch (POLICY_LOSS) {
        case OWN: { return own(t); }
        case REINFORCE: { return reinforce(t); }
        case CISPO: { return cispo(t); }
        case SAPO: { return sapo(t); }
        case DPPO: { return dppo(t); }
        case GSPO: { return clipped_ratio(whole.mean_log_ratio, t.advantage, 0.0); }
        case GMPO: { return gmpo(t, whole.mean_log_ratio); }
        case LUSPO: { return luspo(t, whole); }
        case VESPO: { return vespo(t, whole); }
        default: { return clipped_ratio(t.log_ratio, t.advantage, params.dual_clip); }
    }
}

// A team writes the totals of its lanes to one row of partial, in the order of the statistics.
fn write_partial(chunk: u32, lane: u32, losses: vec4f, token_means: vec4f, clips: vec4f, maxima: vec4f) {
    let begin = 2u * params.entropy_offset + chunk * 16u;
    for (var k = 0u; k < 4u; k++) {
        let a = team_sum(losses[k], lane);
        let b = team_sum(token_means[k], lane);
        let c = team_sum(clips[k], lane);
        let d = team_max(maxima[k], lane);
        if (lane == 0u) {
            derivatives[begin + k] = a;
            derivatives[begin + 4u + k] = b;
            derivatives[begin + 8u + k] = c;
            derivatives[begin + 12u + k] = d;
        }
    }
}

@compute @workgroup_size(LANES)
fn main(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let chunk = number_of(group);
    if (chunk >= params.chunks) { return; }
    let first = chunk * params.chunk_items;
    let last = min(first + params.chunk_items, params.items);
    var losses = vec4f();          // loss, policy loss, items, not finite
    var token_means = vec4f();     // entropy, kl, old - new, |old - new|
    var clips = vec4f();           // clipped low, high, dual; ratio
    var maxima = vec4f();          // |old - new|, ratio
    for (var i = first + lane; i < last; i += LANES) {
        let b = item_sequence(i);
        let at = b * params.stride + item_position(i);
        let log_prob = log_probs[i];
        let old_log_prob = old_log_probs[at];
        let entropy = entropies[i];
        let advantage = advantages[b];
        let weight = weights[b];
        let log_ratio = log_prob - old_log_prob;

        let whole = Response(derivatives[i], derivatives[params.entropy_offset + i]);
        let token = surrogate(Token(log_prob, old_log_prob, log_ratio, advantage), whole);
        var loss = token.loss;
        var dlog_prob = token.dlog_prob;
        // Bounds make a number of NaN. Reinforce has none, and looks at neither policy but the one that learns.
        let looks_at = log_ratio + advantage;
        if ((POLICY_LOSS != REINFORCE && is_not_a_number(looks_at)) ||
            (LOOKS_AT_RESPONSES && is_not_a_number(whole.mean_log_ratio))) {
            loss = not_a_number();
            dlog_prob = loss;
        }
        let token_loss = loss;
        var kl = 0.0;
        if (KL_ESTIMATOR != 0u) {
            let estimate = kl_estimate(log_prob - ref_log_probs[at]);
            kl = estimate.x;
            loss += params.beta * kl;
            dlog_prob += params.beta * estimate.y;
        }
        loss = weight * (loss - params.entropy_coef * entropy);
        dlog_prob *= weight;
        derivatives[i] = dlog_prob;
        derivatives[params.entropy_offset + i] = -weight * params.entropy_coef;

        let ratio = bounded_ratio(log_ratio);
        let finite = is_finite(loss) && is_finite(dlog_prob) && is_finite(log_ratio) && is_finite(entropy);
        losses += vec4f(loss, weight * token_loss, 1.0, select(1.0, 0.0, finite));
        token_means += vec4f(entropy, kl, -log_ratio, abs(log_ratio));
        clips += vec4f(
            f32(token.clip == CLIP_LOW), f32(token.clip == CLIP_HIGH), f32(token.clip == CLIP_DUAL), ratio);
        maxima = max(maxima, vec4f(finite_or_largest(abs(log_ratio)), finite_or_largest(ratio), 0.0, 0.0));
    }
    write_partial(chunk, lane, losses, token_means, clips, maxima);
}

@group(0) @binding(9) var<storage, read_write> stats: array<f32>;         // (16)
@group(0) @binding(10) var<storage, read> partials: array<f32>;            // (chunks, 16)

@compute @workgroup_size(LANES)
fn sum_chunks(@builtin(local_invocation_index) lane: u32) {
    for (var k = 0u; k < 16u; k++) {
        var sum = 0.0;
        var most = 0.0;
        for (var chunk = lane; chunk < params.chunks; chunk += LANES) {
            let value = partials[chunk * 16u + k];
            sum += value;
            most = max(most, value);
        }
        let all = team_sum(sum, lane);
        let largest = team_max(most, lane);
        if (lane == 0u) {
            if (k < 12u) { stats[k] += all; } else { stats[k] = max(stats[k], largest); }
        }
    }
}

@group(0) @binding(11) var<storage, read> item_ranges: array<u32>;         // (responses, 2): first, one past the last

// Leaves at each item the mean log-ratio of its response (for gmpo that of the held ones) and its length, where main
// reads them and then puts the derivatives.
@compute @workgroup_size(LANES)
fn response_ratio(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let response = number_of(group);
    if (response >= params.responses) { return; }
    let first = item_ranges[2u * response];
    let last = item_ranges[2u * response + 1u];
    if (first >= last) { return; }
    let b = item_sequence(first);
    let advantage = advantages[b];
    var sum = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        let log_ratio = log_probs[i] - old_log_probs[b * params.stride + item_position(i)];
        if (POLICY_LOSS == GMPO) {
            sum += held_log_ratio(log_ratio, advantage);
        } else {
            sum += log_ratio;
        }
    }
    let mean = team_sum(sum, lane) / f32(last - first);
    for (var i = first + lane; i < last; i += LANES) {
        derivatives[i] = mean;
        derivatives[params.entropy_offset + i] = f32(last - first);
    }
}
