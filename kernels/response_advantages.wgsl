// needs: team
// Advantages of B responses from their rewards; the G responses to a prompt stand side by side.
// rewards, advantages (B); lengths (B) in tokens. The estimators are those of AdvantageEstimator.
// per_group: one team per prompt. deviation, whiten, withhold: one team over the whole batch.
// Means are taken from the first element on, so that equal rewards give an advantage of exactly 0.

const GRPO = 0u;
const DR_GRPO = 1u;
const RLOO = 2u;
const OPO = 3u;
const PASS_K = 4u;
const MAX_RL = 5u;
const REINFORCE_PLUS_PLUS = 6u;            // whiten alone
const REINFORCE_PLUS_PLUS_BASELINE = 7u;   // centred, then whiten

// Divisor of GRPO and PASS_K.
const SCALE_NONE = 0u;
const SCALE_GROUP = 1u;
const SCALE_BATCH = 2u;

override ESTIMATOR: u32 = GRPO;
override SCALE: u32 = SCALE_NONE;

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

// The responses to one prompt.
struct Group {
    first: u32,
    last: u32,
    mean: f32,
    divisor: f32,            // by SCALE
}

fn alone(g: Group) -> bool { return g.last - g.first == 1u; }

fn divide_centred(g: Group, baseline: f32, divisor: f32, lane: u32) {
    for (var i = g.first + lane; i < g.last; i += LANES) {
        advantages[i] = (rewards[i] - baseline) / divisor;
    }
}

fn centred(g: Group, lane: u32) {
    divide_centred(g, select(g.mean, 0.0, alone(g)), g.divisor, lane);
}

// r - mean of the others = (r - mean) G / (G - 1)
fn rloo(g: Group, lane: u32) {
    let size = f32(g.last - g.first);
    divide_centred(g, select(g.mean, 0.0, alone(g)), select((size - 1.0) / size, 1.0, alone(g)), lane);
}

fn opo(g: Group, lane: u32) {
    let by_tokens = token_mean(g.first, g.last, lane);
    divide_centred(g, select(by_tokens, 0.0, alone(g)), 1.0, lane);
}

fn max_rl(g: Group, lane: u32) {
    divide_centred(g, g.mean, select(g.mean, 1.0, g.mean == 0.0), lane);
}

// The best response gets its margin over the second best; of equals the first is the best.
fn pass_k(g: Group, lane: u32) {
    var most = -0x1.fffffep+127;
    for (var i = g.first + lane; i < g.last; i += LANES) { most = max(most, rewards[i]); }
    let largest = team_max(most, lane);
    var earliest = f32(g.last);
    for (var i = g.first + lane; i < g.last; i += LANES) {
        if (rewards[i] == largest) { earliest = min(earliest, f32(i)); }
    }
    let best = u32(-team_max(-earliest, lane));
    var next = -0x1.fffffep+127;
    for (var i = g.first + lane; i < g.last; i += LANES) {
        if (i != best) { next = max(next, rewards[i]); }
    }
    let second = team_max(next, lane);
    for (var i = g.first + lane; i < g.last; i += LANES) {
        advantages[i] = select(0.0, (largest - second) / g.divisor, i == best);
    }
}

@compute @workgroup_size(LANES)
fn per_group(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = wid.x + wid.y * nwg.x;
    let first = group * params.generations;
    let last = first + params.generations;
    if (last > params.responses) { return; }
    var g = Group(first, last, reward_mean(first, last, lane), 1.0);
    if (SCALE == SCALE_GROUP) {
        g.divisor = 1.0 + STD_EPS;
        if (params.generations > 1u) {
            g.divisor = reward_deviation(first, last, g.mean, lane) + STD_EPS;
        }
    } else if (SCALE == SCALE_BATCH) {
        g.divisor = batch_divisor[0];
    }
    switch (ESTIMATOR) {
        case RLOO: { rloo(g, lane); }
        case OPO: { opo(g, lane); }
        case PASS_K: { pass_k(g, lane); }
        case MAX_RL: { max_rl(g, lane); }
        default: { centred(g, lane); }
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
