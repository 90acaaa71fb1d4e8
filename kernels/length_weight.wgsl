// Weight x_b of every response in loss = sum_b x_b sum_t l_bt, from the lengths of the rollout batch.
// lengths, weights (B). The mini-batch of this optimizer step is [start, end); responses outside it, and those of
// length 0, get weight 0 and are left out of the mini-batch's sums. The rules are those of LossAggregation in the host
// version.
// One team for everything: B is small, and the order of every sum is fixed.

override RULE: u32 = 3u;     // 0 grpo, 1 dapo, 2 drGrpo, 3 deltaL, 4 seqSum, 5 promptMean, 6 dapoMicroBatch, 7 lambdaGrpo
override SCOPE: u32 = 0u;    // of deltaL: 0 batch, 1 miniBatch, 2 group

struct Params {
    responses: u32,          // B
    start: u32,
    end: u32,
    generations: u32,        // G, for promptMean, lambdaGrpo and the scope group; size of a micro-batch for dapoMicroBatch
    alpha: f32,
    scale_factor: f32,       // M
    lambda: f32,
    spread: f32,             // r of lambdaGrpo
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;

// (length / shortest)^-alpha, at most 1; exact where alpha is 0 or 1.
fn relative(length: u32, shortest: f32) -> f32 {
    if (params.alpha == 0.0) { return 1.0; }
    let ratio = f32(length) / shortest;
    if (params.alpha == 1.0) { return 1.0 / ratio; }
    return pow(ratio, -params.alpha);
}

// Number, total length and smallest length of the responses of [first, last) that are not empty.
struct Totals {
    count: f32,
    tokens: f32,
    shortest: f32,
}

fn totals(first: u32, last: u32) -> Totals {
    var result = Totals(0.0, 0.0, 0x1.fffffep+127);
    for (var i = first; i < last; i++) {
        if (lengths[i] == 0u) { continue; }
        result.count += 1.0;
        result.tokens += f32(lengths[i]);
        result.shortest = min(result.shortest, f32(lengths[i]));
    }
    return result;
}

// lambdaGrpo: h^lambda of a response, h = 1 + r z, z its length standardised within its group.
fn preference(length: u32, mean: f32, deviation: f32) -> f32 {
    let z = select(0.0, (f32(length) - mean) / deviation, deviation > 0.0);
    return pow(max(1.0 + params.spread * z, 1e-3), params.lambda);
}

// lambdaGrpo: x = f / tokens of the mini-batch, f = n softmax(h^lambda) over the n responses of [begin, end) that are not
// empty; the group may reach beyond the mini-batch.
fn preferred(begin: u32, end: u32, whole: Totals, tokens: f32) {
    let mean = whole.tokens / whole.count;
    var squares = 0.0;
    for (var i = begin; i < end; i++) {
        let d = f32(lengths[i]) - mean;
        squares += select(0.0, d * d, lengths[i] > 0u);
    }
    let deviation = sqrt(squares / whole.count);
    var greatest = 0.0;
    for (var i = begin; i < end; i++) {
        if (lengths[i] > 0u) { greatest = max(greatest, preference(lengths[i], mean, deviation)); }
    }
    var sum = 0.0;
    for (var i = begin; i < end; i++) {
        if (lengths[i] > 0u) { sum += exp(preference(lengths[i], mean, deviation) - greatest); }
    }
    for (var i = begin; i < end; i++) {
        var x = 0.0;
        if (lengths[i] > 0u && i >= params.start && i < params.end) {
            x = whole.count * exp(preference(lengths[i], mean, deviation) - greatest) / sum / tokens;
        }
        weights[i] = x;
    }
}

fn team_totals(first: u32, last: u32, lane: u32) -> Totals {
    var own = Totals(0.0, 0.0, 0x1.fffffep+127);
    for (var i = first + lane; i < last; i += LANES) {
        let one = totals(i, i + 1u);
        own = Totals(own.count + one.count, own.tokens + one.tokens, min(own.shortest, one.shortest));
    }
    let count = team_sum(own.count, lane);
    let tokens = team_sum(own.tokens, lane);
    return Totals(count, tokens, -team_max(-own.shortest, lane));
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    let batch = team_totals(params.start, params.end, lane);
    let by_micro_batch = RULE == 6u;
    let by_group = RULE == 5u || RULE == 7u || (RULE == 3u && SCOPE == 2u);
    if (by_group || by_micro_batch) {
        // Prompts are counted from the start of the batch, micro-batches from that of the mini-batch.
        let origin = select(0u, params.start, by_micro_batch);
        let limit = select(params.responses, params.end, by_micro_batch);
        let groups = (limit - origin + params.generations - 1u) / params.generations;
        if (by_micro_batch) {
            for (var i = lane; i < params.responses; i += LANES) {
                if (i < origin || i >= limit) { weights[i] = 0.0; }
            }
        }
        var present = 0.0;
        for (var g = lane; g < groups; g += LANES) {
            let first = max(origin + g * params.generations, params.start);
            let last = min(origin + (g + 1u) * params.generations, params.end);
            present += select(0.0, 1.0, totals(first, last).count > 0.0);
        }
        let present_groups = team_sum(present, lane);
        for (var g = lane; g < groups; g += LANES) {
            let begin = origin + g * params.generations;
            let end = min(begin + params.generations, limit);
            let whole = totals(begin, end);
            if (RULE == 7u) {
                preferred(begin, end, whole, batch.tokens);
                continue;
            }
            let inside = totals(max(begin, params.start), min(end, params.end));
            var sum = 0.0;
            for (var i = begin; i < end; i++) {
                if (lengths[i] > 0u) { sum += relative(lengths[i], whole.shortest); }
            }
            for (var i = begin; i < end; i++) {
                var x = 0.0;
                if (lengths[i] > 0u && i >= params.start && i < params.end) {
                    if (RULE != 3u) {
                        x = 1.0 / (present_groups * inside.tokens);
                    } else {
                        x = relative(lengths[i], whole.shortest) / sum * whole.count /
                            (batch.count * params.scale_factor);
                    }
                }
                weights[i] = x;
            }
        }
        return;
    }

    var scope = batch;
    var first = params.start;
    var last = params.end;
    var sum = 0.0;
    if (RULE == 3u) {
        if (SCOPE == 0u) {
            first = 0u;
            last = params.responses;
            scope = team_totals(first, last, lane);
        }
        var own = 0.0;
        for (var i = first + lane; i < last; i += LANES) {
            if (lengths[i] > 0u) { own += relative(lengths[i], scope.shortest); }
        }
        sum = team_sum(own, lane);
    }
    for (var i = lane; i < params.responses; i += LANES) {
        var x = 0.0;
        if (lengths[i] > 0u && i >= params.start && i < params.end) {
            switch (RULE) {
                case 0u: { x = 1.0 / (batch.count * f32(lengths[i])); }
                case 1u: { x = 1.0 / batch.tokens; }
                case 2u: { x = 1.0 / (batch.count * params.scale_factor); }
                case 4u: { x = 1.0 / batch.count; }
                default: {
                    x = relative(lengths[i], scope.shortest) / sum * scope.count /
                        (batch.count * params.scale_factor);
                }
            }
        }
        weights[i] = x;
    }
}
