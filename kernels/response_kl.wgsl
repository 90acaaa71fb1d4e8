// needs: team, kl, workgroup
// Divergence of whole responses from a reference policy: sums[b] = sum over t < lengths[b] of the estimate of
// KL(pi || pi_ref) with d = log_probs[b, t] - ref_log_probs[b, t].
// log_probs, ref_log_probs (B, M); lengths, sums (B).
// One team per response.

struct Params {
    responses: u32,                 // B
    stride: u32,                    // M
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> log_probs: array<f32>;
@group(0) @binding(2) var<storage, read> ref_log_probs: array<f32>;
@group(0) @binding(3) var<storage, read> lengths: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(LANES)
fn main(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let b = number_of(group);
    if (b >= params.responses) { return; }
    let first = b * params.stride;
    let last = first + min(lengths[b], params.stride);
    var sum = 0.0;
    for (var at = first + lane; at < last; at += LANES) {
        sum += kl_estimate(log_probs[at] - ref_log_probs[at]).x;
    }
    let total = team_sum(sum, lane);
    if (lane == 0u) { sums[b] = total; }
}
