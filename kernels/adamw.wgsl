// AdamW (Loshchilov & Hutter 2017) with clipping by the global gradient norm, as PyTorch does both.
//   g *= min(1, max_grad_norm / (grad_norm + 1e-6));  m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2
//   p = p * (1 - lr * weight_decay) - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
// parameters, gradients, first_moment, second_moment: flat (n), n a multiple of 4, read as vec4; grad_norm [1].
// One workgroup per chunk. Nothing changes when grad_norm is NaN or infinite.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // vec4 per workgroup

struct Params {
    count: u32,             // n / 4
    decay: f32,             // 1 - lr * weight_decay
    step_size: f32,         // lr / (1 - beta1^t)
    rest1: f32,             // 1 - beta1
    beta2: f32,
    rest2: f32,             // 1 - beta2
    inverse_root2: f32,     // 1 / sqrt(1 - beta2^t)
    eps: f32,
    max_grad_norm: f32,     // 0: gradients are not clipped
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<vec4f>;
@group(0) @binding(2) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> first_moment: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> second_moment: array<vec4f>;
@group(0) @binding(5) var<storage, read> grad_norm: array<f32>;

@compute @workgroup_size(LANES)
fn update(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let norm = grad_norm[0];
    // By its bits, because a compiler may assume that floats are finite.
    if ((bitcast<u32>(norm) & 0x7f800000u) == 0x7f800000u) { return; }
    var clip = 1.0;
    if (params.max_grad_norm > 0.0) { clip = min(1.0, params.max_grad_norm / (norm + 1e-6)); }
    let first = (wid.x + wid.y * nwg.x) * CHUNK;
    let last = min(first + CHUNK, params.count);
    for (var i = first + lane; i < last; i += LANES) {
        let g = gradients[i] * clip;
        let m = first_moment[i] + params.rest1 * (g - first_moment[i]);
        let v = params.beta2 * second_moment[i] + params.rest2 * g * g;
        first_moment[i] = m;
        second_moment[i] = v;
        let root = sqrt(v) * params.inverse_root2 + params.eps;
        parameters[i] = parameters[i] * params.decay - params.step_size * m / root;
    }
}
