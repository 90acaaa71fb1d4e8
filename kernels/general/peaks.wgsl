// What a device can do at most, in practice: copying, dst = src (4n), and multiplying and adding in registers.

struct Params {
    count: u32,        // copy: n; multiply_add: its lanes
    turns: u32,        // multiply_add: turns of its loop, 64 operations each
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dst: array<vec4f>;

@compute @workgroup_size(64)
fn copy(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (wid.x + wid.y * nwg.x) * 64u + lane;
    if (i < params.count) { dst[i] = src[i]; }
}

// Eight sums in turn, so that none has to wait for itself.
@compute @workgroup_size(64)
fn multiply_add(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (wid.x + wid.y * nwg.x) * 64u + lane;
    if (i >= params.count) { return; }
    let factor = src[0];
    let summand = src[1];
    var s0 = vec4f(f32(lane));
    var s1 = s0 + 1.0;
    var s2 = s0 + 2.0;
    var s3 = s0 + 3.0;
    var s4 = s0 + 4.0;
    var s5 = s0 + 5.0;
    var s6 = s0 + 6.0;
    var s7 = s0 + 7.0;
    for (var turn = 0u; turn < params.turns; turn++) {
        s0 = fma(s0, factor, summand);
        s1 = fma(s1, factor, summand);
        s2 = fma(s2, factor, summand);
        s3 = fma(s3, factor, summand);
        s4 = fma(s4, factor, summand);
        s5 = fma(s5, factor, summand);
        s6 = fma(s6, factor, summand);
        s7 = fma(s7, factor, summand);
    }
    dst[i] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
}
