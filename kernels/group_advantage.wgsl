// Advantages of B responses from their rewards; the G responses to a prompt stand side by side.
// rewards, advantages (B); lengths (B) in tokens. The estimators are those of AdvantageEstimator in the host version.
// per_group: one team per prompt. deviation, whiten, withhold: one team over the whole batch.
// Means are taken from the first element on, so that equal rewards give an advantage of exactly 0.

override ESTIMATOR: u32 = 0u;  // 0 centred (grpo, drGrpo), 1 rloo, 2 opo, 3 passK, 4 maxRl
override SCALE: u32 = 0u;      // divisor of 0 and 3: 0 none, 1 deviation of the group, 2 deviation of the batch

struct Params {
    responses: u32,            // B
    generations: u32,          // G, divides B
}

const STD_EPS = 1e-6;          // added to the deviation
const WHITEN_EPS = 1e-8;       // added to the variance

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rewards: array<f32>;
@group(0) @binding(2) var<storage, read> lengths: array<u32>;
@group(0) @binding(3) var<storage, read> batch_divisor: array<f32>;     // (1)
@group(0) @binding(4) var<storage, read_write> advantages: array<f32>;

// Mean of rewards[first .. last).
fn reward_mean(first: u32, last: u32, lane: u32) -> f32 {
    let origin = rewards[first];
    var sum = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        sum += rewards[i] - origin;
    }
    return origin + team_sum(sum, lane) / f32(last - first);
}

// Mean of rewards[first .. last), each counted once per token.
fn token_mean(first: u32, last: u32, lane: u32) -> f32 {
    let origin = rewards[first];
    var sum = 0.0;
    var tokens = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        sum += f32(lengths[i]) * (rewards[i] - origin);
        tokens += f32(lengths[i]);
    }
    let total = team_sum(sum, lane);
    let count = team_sum(tokens, lane);
    return origin + select(total / count, 0.0, count == 0.0);
}

// Standard deviation of rewards[first .. last), ddof 1.
fn reward_deviation(first: u32, last: u32, mean: f32, lane: u32) -> f32 {
    var squares = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        squares += (rewards[i] - mean) * (rewards[i] - mean);
    }
    return sqrt(team_sum(squares, lane) / f32(last - first - 1u));
}

@compute @workgroup_size(LANES)
fn per_group(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = wid.x + wid.y * nwg.x;
    let size = params.generations;
    let first = group * size;
    let last = first + size;
    if (last > params.responses) { return; }
    let alone = size == 1u;
    let mean = reward_mean(first, last, lane);

    var divisor = 1.0;
    if (SCALE == 1u) {
        divisor = 1.0 + STD_EPS;
        if (!alone) { divisor = reward_deviation(first, last, mean, lane) + STD_EPS; }
    } else if (SCALE == 2u) {
        divisor = batch_divisor[0];
    }

    if (ESTIMATOR == 3u) {
        // The best response gets its margin over the second best; of equals the first is the best.
        var most = -0x1.fffffep+127;
        for (var i = first + lane; i < last; i += LANES) { most = max(most, rewards[i]); }
        let largest = team_max(most, lane);
        var earliest = f32(last);
        for (var i = first + lane; i < last; i += LANES) {
            if (rewards[i] == largest) { earliest = min(earliest, f32(i)); }
        }
        let best = u32(-team_max(-earliest, lane));
        var next = -0x1.fffffep+127;
        for (var i = first + lane; i < last; i += LANES) {
            if (i != best) { next = max(next, rewards[i]); }
        }
        let second = team_max(next, lane);
        for (var i = first + lane; i < last; i += LANES) {
            advantages[i] = select(0.0, (largest - second) / divisor, i == best);
        }
        return;
    }

    var baseline = mean;
    if (ESTIMATOR == 2u) { baseline = token_mean(first, last, lane); }
    if (alone && ESTIMATOR != 4u) { baseline = 0.0; }
    if (ESTIMATOR == 4u) { divisor = select(mean, 1.0, mean == 0.0); }
    if (ESTIMATOR == 1u && !alone) { divisor = f32(size - 1u) / f32(size); }
    for (var i = first + lane; i < last; i += LANES) {
        advantages[i] = (rewards[i] - baseline) / divisor;
    }
}

@group(0) @binding(5) var<storage, read_write> divisor_out: array<f32>;  // (1)

@compute @workgroup_size(LANES)
fn deviation(@builtin(local_invocation_index) lane: u32) {
    var divisor = 1.0;
    if (params.responses > 1u) {
        let mean = reward_mean(0u, params.responses, lane);
        divisor = reward_deviation(0u, params.responses, mean, lane);
    }
    if (lane == 0u) { divisor_out[0] = divisor + STD_EPS; }
}

// (r - mean) / sqrt(variance + eps), both over all tokens of the batch.
@compute @workgroup_size(LANES)
fn whiten(@builtin(local_invocation_index) lane: u32) {
    let mean = token_mean(0u, params.responses, lane);
    var squares = 0.0;
    var tokens = 0.0;
    for (var i = lane; i < params.responses; i += LANES) {
        squares += f32(lengths[i]) * (rewards[i] - mean) * (rewards[i] - mean);
        tokens += f32(lengths[i]);
    }
    let total = team_sum(squares, lane);
    let count = team_sum(tokens, lane);
    let variance = select(0.0, total / (count - 1.0), count > 1.0);
    let scale = sqrt(variance + WHITEN_EPS);
    for (var i = lane; i < params.responses; i += LANES) {
        advantages[i] = (rewards[i] - mean) / scale;
    }
}

@group(0) @binding(6) var<storage, read> withheld: array<u32>;

// Responses that are to teach nothing, after they have counted in the statistics of their group.
@compute @workgroup_size(LANES)
fn withhold(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < params.responses; i += LANES) {
        if (withheld[i] != 0u) { advantages[i] = 0.0; }
    }
}
