// out[M, N] = sum over splits of partial[splits, M, N], in ascending order; M * N is a multiple of 8. eight_*.wgsl is
// appended. One invocation per eight values.

struct Params {
    size: u32,     // M * N / 8
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<Eight>;
@group(0) @binding(2) var<storage, read_write> out: array<Eight>;

override ACCUMULATE: bool = false;   // add to out

@compute @workgroup_size(64)
fn sum_splits(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) id: u32,
) {
    let i = (wid.x + wid.y * nwg.x) * 64u + id;
    if (i >= params.size) { return; }
    var evens = vec4f();
    var odds = vec4f();
    if (ACCUMULATE) {
        evens = even(out[i]);
        odds = odd(out[i]);
    }
    for (var split = 0u; split < params.splits; split++) {
        let part = partial[split * params.size + i];
        evens += even(part);
        odds += odd(part);
    }
    out[i] = join(evens, odds);
}
