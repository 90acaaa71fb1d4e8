// needs: team
// Weight x_b of every response in loss = sum_b x_b sum_t l_bt, from the lengths of the rollout batch.
// lengths, weights (B). The mini-batch of this optimizer step is [start, end); responses outside it, and those of
// length 0, get weight 0 and are left out of the mini-batch's sums. The rules are those of LossAggregation.
// A rule normalises over spans of responses that lie side by side: the batch, the mini-batch, prompts or micro-batches.
// One team for everything: B is small, and the order of every sum is fixed.

const GRPO = 0u;
const DAPO = 1u;
const DR_GRPO = 2u;
const DELTA_L = 3u;
const SEQ_SUM = 4u;
const PROMPT_MEAN = 5u;
const DAPO_MICRO_BATCH = 6u;
const LAMBDA_GRPO = 7u;

// What DELTA_L normalises over.
const SCOPE_BATCH = 0u;
const SCOPE_MINI_BATCH = 1u;
const SCOPE_GROUP = 2u;

override RULE: u32 = DELTA_L;
override SCOPE: u32 = SCOPE_BATCH;

struct Params {
    responses: u32,          // B
    start: u32,
    end: u32,
    generations: u32,        // responses per prompt, or per micro-batch for DAPO_MICRO_BATCH
    alpha: f32,
    scale_factor: f32,       // M
    lambda: f32,
    spread: f32,             // r of LAMBDA_GRPO
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;

// Number, total length and smallest length of responses that are not empty.
struct Totals {
    count: f32,
    tokens: f32,
    shortest: f32,
}

fn team_totals(first: u32, last: u32, lane: u32) -> Totals {
    var own = Totals(0.0, 0.0, 0x1.fffffep+127);
    for (var i = first + lane; i < last; i += LANES) {
        if (lengths[i] == 0u) { continue; }
        own.count += 1.0;
        own.tokens += f32(lengths[i]);
        own.shortest = min(own.shortest, f32(lengths[i]));
    }
    let count = team_sum(own.count, lane);
    let tokens = team_sum(own.tokens, lane);
    return Totals(count, tokens, -team_max(-own.shortest, lane));
}

struct Range {
    first: u32,
    last: u32,
}

fn span_count() -> u32 {
    switch (RULE) {
        case DELTA_L: {
            if (SCOPE == SCOPE_GROUP) { return params.responses / params.generations; }
            return 1u;
        }
        case PROMPT_MEAN, LAMBDA_GRPO: { return params.responses / params.generations; }
        case DAPO_MICRO_BATCH: {
            return (params.end - params.start + params.generations - 1u) / params.generations;
        }
        default: { return 1u; }
    }
}

// Prompts are counted from the start of the batch, micro-batches from that of the mini-batch.
fn span(k: u32) -> Range {
    let whole = Range(0u, params.responses);
    let group = Range(k * params.generations, (k + 1u) * params.generations);
    switch (RULE) {
        case DELTA_L: {
            if (SCOPE == SCOPE_GROUP) { return group; }
            if (SCOPE == SCOPE_MINI_BATCH) { return Range(params.start, params.end); }
            return whole;
        }
        case PROMPT_MEAN, LAMBDA_GRPO: { return group; }
        case DAPO_MICRO_BATCH: {
            return Range(params.start + group.first, min(params.start + group.last, params.end));
        }
        default: { return whole; }
    }
}

// What a rule reads besides the length of the response.
struct Span {
    batch: Totals,           // of the mini-batch
    whole: Totals,           // of the span
    inside: Totals,          // of the part of the span that lies in the mini-batch
    present: f32,            // spans with a response in the mini-batch
    deviation: f32,          // of the lengths of the span
    greatest: f32,           // preference of LAMBDA_GRPO within the span
    sum: f32,                // of share() over the span
}

// (length / shortest)^-alpha, at most 1; exact where alpha is 0 or 1.
fn relative(length: f32, s: Span) -> f32 {
    if (params.alpha == 0.0) { return 1.0; }
    let ratio = length / s.whole.shortest;
    if (params.alpha == 1.0) { return 1.0 / ratio; }
    return pow(ratio, -params.alpha);
}

// h^lambda of a response, h = 1 + r z, z its length standardised within its group.
fn preference(length: f32, s: Span) -> f32 {
    let z = select(0.0, (length - s.whole.tokens / s.whole.count) / s.deviation, s.deviation > 0.0);
    return pow(max(1.0 + params.spread * z, 1e-3), params.lambda);
}

// What a response counts among those of its span, for the rules that normalise it.
fn share(length: f32, s: Span) -> f32 {
    switch (RULE) {
        case DELTA_L: { return relative(length, s); }
        case LAMBDA_GRPO: { return exp(preference(length, s) - s.greatest); }
        default: { return 1.0; }
    }
}

fn grpo(length: f32, s: Span) -> f32 { return 1.0 / (s.batch.count * length); }

fn dapo(s: Span) -> f32 { return 1.0 / s.batch.tokens; }

fn dr_grpo(s: Span) -> f32 { return 1.0 / (s.batch.count * params.scale_factor); }

fn delta_l(length: f32, s: Span) -> f32 {
    return relative(length, s) / s.sum * s.whole.count / (s.batch.count * params.scale_factor);
}

fn seq_sum(s: Span) -> f32 { return 1.0 / s.batch.count; }

fn span_mean(s: Span) -> f32 { return 1.0 / (s.present * s.inside.tokens); }

fn lambda_grpo(length: f32, s: Span) -> f32 {
    return s.whole.count * share(length, s) / s.sum / s.batch.tokens;
}

fn weight(length: f32, s: Span) -> f32 {
    switch (RULE) {
        case GRPO: { return grpo(length, s); }
        case DAPO: { return dapo(s); }
        case DR_GRPO: { return dr_grpo(s); }
        case DELTA_L: { return delta_l(length, s); }
        case SEQ_SUM: { return seq_sum(s); }
        case PROMPT_MEAN, DAPO_MICRO_BATCH: { return span_mean(s); }
        default: { return lambda_grpo(length, s); }
    }
}

fn has_tokens_inside(range: Range) -> bool {
    let last = min(range.last, params.end);
    for (var i = max(range.first, params.start); i < last; i++) {
        if (lengths[i] > 0u) { return true; }
    }
    return false;
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < params.responses; i += LANES) { weights[i] = 0.0; }
    storageBarrier();
    let spans = span_count();
    var s: Span;
    s.batch = team_totals(params.start, params.end, lane);
    var present = 0.0;
    for (var k = lane; k < spans; k += LANES) {
        if (has_tokens_inside(span(k))) { present += 1.0; }
    }
    s.present = team_sum(present, lane);
    for (var k = 0u; k < spans; k++) {
        let range = span(k);
        s.whole = team_totals(range.first, range.last, lane);
        s.inside = team_totals(max(range.first, params.start), min(range.last, params.end), lane);
        var squares = 0.0;
        var most = 0.0;
        var sum = 0.0;
        if (RULE == LAMBDA_GRPO) {
            for (var i = range.first + lane; i < range.last; i += LANES) {
                let d = f32(lengths[i]) - s.whole.tokens / s.whole.count;
                squares += select(0.0, d * d, lengths[i] > 0u);
            }
            s.deviation = sqrt(team_sum(squares, lane) / s.whole.count);
            for (var i = range.first + lane; i < range.last; i += LANES) {
                if (lengths[i] > 0u) { most = max(most, preference(f32(lengths[i]), s)); }
            }
            s.greatest = team_max(most, lane);
        }
        if (RULE == DELTA_L || RULE == LAMBDA_GRPO) {
            for (var i = range.first + lane; i < range.last; i += LANES) {
                if (lengths[i] > 0u) { sum += share(f32(lengths[i]), s); }
            }
            s.sum = team_sum(sum, lane);
        }
        for (var i = range.first + lane; i < range.last; i += LANES) {
            if (lengths[i] > 0u && i >= params.start && i < params.end) {
                weights[i] = weight(f32(lengths[i]), s);
            }
        }
    }
}
