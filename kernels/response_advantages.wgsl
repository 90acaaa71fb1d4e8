// needs: team, numbers, workgroup
// Advantages of B responses from their rewards; the G responses to a prompt stand side by side.
// rewards, advantages (B); lengths (B) in tokens. The estimators are those of AdvantageEstimator.
// A reward is origins[i] + rewards[i]: what estimators compare are the differences, in which an origin cancels out.
// Responses that could not be judged count nowhere and get 0; so does one that is left with no other to be compared with.
// per_group: one team per prompt. deviation, whiten, take_off, withhold: one team over the whole batch.
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
override WITH_ORIGINS: bool = false;
override WITH_UNJUDGED: bool = false;

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

@group(0) @binding(7) var<storage, read> judged: array<u32>;    // 0 where a response could not be
@group(0) @binding(8) var<storage, read> origins: array<f32>;

fn counts(i: u32) -> bool { return !WITH_UNJUDGED || judged[i] != 0u; }

fn counted(first: u32, last: u32, lane: u32) -> f32 {
    if (!WITH_UNJUDGED) { return f32(last - first); }
    var count = 0.0;
    for (var i = first + lane; i < last; i += LANES) { count += select(0.0, 1.0, counts(i)); }
    return team_sum(count, lane);
}

// The first reward that counts.
fn first_reward(first: u32, last: u32, lane: u32) -> f32 {
    if (!WITH_UNJUDGED) { return rewards[first]; }
    var earliest = f32(last - 1u);
    for (var i = first + lane; i < last; i += LANES) {
        if (counts(i)) { earliest = min(earliest, f32(i)); }
    }
    return rewards[u32(-team_max(-earliest, lane))];
}

// Mean of rewards[first .. last).
fn reward_mean(first: u32, last: u32, lane: u32) -> f32 {
    let origin = first_reward(first, last, lane);
    var sum = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        sum += select(0.0, rewards[i] - origin, counts(i));
    }
    return origin + team_sum(sum, lane) / max(1.0, counted(first, last, lane));
}

// Mean of rewards[first .. last), each counted once per token.
fn token_mean(first: u32, last: u32, lane: u32) -> f32 {
    let origin = first_reward(first, last, lane);
    var sum = 0.0;
    var tokens = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        let length = select(0.0, f32(lengths[i]), counts(i));
        sum += length * (rewards[i] - origin);
        tokens += length;
    }
    let total = team_sum(sum, lane);
    let count = team_sum(tokens, lane);
    return origin + select(total / count, 0.0, count == 0.0);
}

// Standard deviation of the two or more rewards of [first .. last) that count, ddof 1.
fn reward_deviation(first: u32, last: u32, mean: f32, lane: u32) -> f32 {
    var squares = 0.0;
    for (var i = first + lane; i < last; i += LANES) {
        squares += select(0.0, (rewards[i] - mean) * (rewards[i] - mean), counts(i));
    }
    return sqrt(team_sum(squares, lane) / (counted(first, last, lane) - 1.0));
}

// The responses to one prompt.
struct Group {
    first: u32,
    last: u32,
    size: f32,               // those that count
    mean: f32,
    divisor: f32,            // by SCALE
}

fn alone(g: Group) -> bool { return g.last - g.first == 1u; }

fn group_origin(g: Group) -> f32 {
    if (!WITH_ORIGINS) { return 0.0; }
    return origins[g.first];
}

// What is taken off the rewards; a response alone keeps all of its own.
fn baseline(g: Group, mean: f32) -> f32 { return select(mean, -group_origin(g), alone(g)); }

fn divide_centred(g: Group, taken_off: f32, divisor: f32, lane: u32) {
    for (var i = g.first + lane; i < g.last; i += LANES) {
        advantages[i] = select(0.0, (rewards[i] - taken_off) / divisor, counts(i));
    }
}

fn centred(g: Group, lane: u32) {
    divide_centred(g, baseline(g, g.mean), g.divisor, lane);
}

// r - mean of the others = (r - mean) G / (G - 1)
fn rloo(g: Group, lane: u32) {
    let shrink = select((g.size - 1.0) / g.size, 1.0, alone(g));
    divide_centred(g, baseline(g, g.mean), shrink, lane);
}

fn opo(g: Group, lane: u32) {
    let by_tokens = token_mean(g.first, g.last, lane);
    divide_centred(g, baseline(g, by_tokens), 1.0, lane);
}

fn max_rl(g: Group, lane: u32) {
    let whole = group_origin(g) + g.mean;
    divide_centred(g, g.mean, select(whole, 1.0, whole == 0.0), lane);
}

// The best response gets its margin over the second best; of equals the first is the best.
fn pass_k(g: Group, lane: u32) {
    var most = -0x1.fffffep+127;
    for (var i = g.first + lane; i < g.last; i += LANES) {
        if (counts(i)) { most = max(most, rewards[i]); }
    }
    let largest = team_max(most, lane);
    var earliest = f32(g.last);
    for (var i = g.first + lane; i < g.last; i += LANES) {
        if (counts(i) && rewards[i] == largest) { earliest = min(earliest, f32(i)); }
    }
    let best = u32(-team_max(-earliest, lane));
    var next = -0x1.fffffep+127;
    for (var i = g.first + lane; i < g.last; i += LANES) {
        if (counts(i) && i != best) { next = max(next, rewards[i]); }
    }
    let second = team_max(next, lane);
    for (var i = g.first + lane; i < g.last; i += LANES) {
        let margin = select(0.0, (largest - second) / g.divisor, i == best);
        advantages[i] = select(margin, g.mean, is_not_a_number(g.mean));      // the largest is a number in any case
    }
}

@compute @workgroup_size(LANES)
fn per_group(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let prompt = number_of(group);
    let first = prompt * params.generations;
    let last = first + params.generations;
    if (last > params.responses) { return; }
    var g = Group(first, last, counted(first, last, lane), reward_mean(first, last, lane), 1.0);
    if (g.size < 2.0 && params.generations > 1u) {
        for (var i = first + lane; i < last; i += LANES) { advantages[i] = 0.0; }
        return;
    }
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
    if (counted(0u, params.responses, lane) > 1.0) {
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
        let length = select(0.0, f32(lengths[i]), counts(i));
        squares += length * (rewards[i] - mean) * (rewards[i] - mean);
        tokens += length;
    }
    let total = team_sum(squares, lane);
    let count = team_sum(tokens, lane);
    let variance = select(0.0, total / (count - 1.0), count > 1.0);
    let scale = sqrt(variance + WHITEN_EPS);
    for (var i = lane; i < params.responses; i += LANES) {
        advantages[i] = select(0.0, (rewards[i] - mean) / scale, counts(i));
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

@group(0) @binding(9) var<storage, read> penalties: array<f32>;

@compute @workgroup_size(LANES)
fn take_off(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < params.responses; i += LANES) { advantages[i] -= penalties[i]; }
}
