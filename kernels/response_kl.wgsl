// Divergence of whole responses from a reference policy: sums[b] = sum over t < lengths[b] of the estimate of
// KL(pi || pi_ref) with d = log_probs[b, t] - ref_log_probs[b, t].
// log_probs, ref_log_probs (B, M); lengths, sums (B). The estimators and their bounds are those of KlEstimator in the
// host version. One team per response.

override KL_ESTIMATOR: u32 = 1u;    // 1 k1, 2 k2, 3 k3

struct Params {
    responses: u32,                 // B
    stride: u32,                    // M
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> log_probs: array<f32>;
@group(0) @binding(2) var<storage, read> ref_log_probs: array<f32>;
@group(0) @binding(3) var<storage, read> lengths: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

const LOG_RATIO_LIMIT = 20.0;
const K3_LIMIT = 10.0;

// e^x - 1 - x
fn exp_tail(x: f32) -> f32 {
    let series = x * x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x / 5040.0)))));
    return select(exp(x) - 1.0 - x, series, abs(x) < 0.3);
}

fn kl_estimate(d: f32) -> f32 {
    if (KL_ESTIMATOR == 1u) { return d; }
    if (KL_ESTIMATOR == 2u) { return 0.5 * d * d; }
    return min(exp_tail(-clamp(d, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)), K3_LIMIT);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let b = wid.x + wid.y * nwg.x;
    if (b >= params.responses) { return; }
    let first = b * params.stride;
    let last = first + min(lengths[b], params.stride);
    var sum = 0.0;
    for (var at = first + lane; at < last; at += LANES) {
        sum += kl_estimate(log_probs[at] - ref_log_probs[at]);
    }
    let total = team_sum(sum, lane);
    if (lane == 0u) { sums[b] = total; }
}
