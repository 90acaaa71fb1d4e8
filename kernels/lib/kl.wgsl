// provides: kl
// needs: numbers
// Estimates of KL(policy || reference) at one token, from d = ln policy - ln reference: those of KlEstimator.

const K1 = 1u;
const K2 = 2u;
const K3 = 3u;
const K3_PLUS = 4u;

override KL_ESTIMATOR: u32 = 0u;    // 0: none

const KL_LOG_RATIO_LIMIT = 20.0;
const K3_LIMIT = 10.0;

// e^x - 1 - x
fn exp_tail(x: f32) -> f32 {
    let series = x * x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x / 5040.0)))));
    return select(exp(x) - 1.0 - x, series, abs(x) < 0.3);
}

fn k3(d: f32) -> vec2f {
    if (is_not_a_number(d)) { return vec2f(d); }      // clamp makes a number of it
    let held = clamp(d, -KL_LOG_RATIO_LIMIT, KL_LOG_RATIO_LIMIT);
    let value = exp_tail(-held);
    if (value > K3_LIMIT) { return vec2f(K3_LIMIT, 0.0); }
    return vec2f(value, select(0.0, held - value, abs(d) <= KL_LOG_RATIO_LIMIT));
}

// The estimate and its derivative with respect to ln policy.
fn kl_estimate(d: f32) -> vec2f {
    switch (KL_ESTIMATOR) {
        case K1: { return vec2f(d, 1.0); }
        case K2: { return vec2f(0.5 * d * d, d); }
        case K3: { return k3(d); }
        case K3_PLUS: { return vec2f(k3(d).x, d); }
        default: { return vec2f(); }
    }
}
