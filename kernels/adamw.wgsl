// needs: pack, spans, moment, workgroup
// AdamW (Loshchilov & Hutter 2017) with clipping by the global gradient norm, as PyTorch does both.
//   g *= min(1, max_grad_norm / (grad_norm + 1e-6));  m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2
//   p = p * (1 - lr * weight_decay) - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
// parameters, gradients, first_moment, second_moment: flat (n); grad_norm [1]. One workgroup per chunk. Parameters take
// their step by the moments as computed, before they are rounded for keeping.
// Nothing changes when grad_norm is NaN or infinite.

struct Params {
    count: u32,             // packs
    chunk: u32,             // packs per workgroup
    decay: f32,             // 1 - lr * weight_decay
    step_size: f32,         // lr / (1 - beta1^t)
    rest1: f32,             // 1 - beta1
    beta2: f32,
    rest2: f32,             // 1 - beta2
    inverse_root2: f32,     // 1 / sqrt(1 - beta2^t)
    eps: f32,
    max_grad_norm: f32,     // 0: gradients are not clipped
    first: u32,             // packs before these
    key_low: u32,           // of the random numbers that moments are rounded by
    key_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<Pack>;
@group(0) @binding(2) var<storage, read> gradients: array<Pack>;
@group(0) @binding(3) var<storage, read_write> first_moment: array<Moment>;
@group(0) @binding(4) var<storage, read_write> second_moment: array<Moment>;
@group(0) @binding(5) var<storage, read> grad_norm: array<f32>;

// One part of a parameter, and of its moments.
struct State {
    p: Part,
    m: Part,
    v: Part,
}

fn updated(p: Part, m: Part, v: Part, g: Part) -> State {
    let m_new = m + params.rest1 * (g - m);
    let v_new = params.beta2 * v + params.rest2 * g * g;
    let root = sqrt(v_new) * params.inverse_root2 + params.eps;
    return State(p * params.decay - params.step_size * m_new / root, m_new, v_new);
}

@compute @workgroup_size(LANES)
fn update(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let norm = grad_norm[0];
    // By its bits, because a compiler may assume that floats are finite.
    if ((bitcast<u32>(norm) & 0x7f800000u) == 0x7f800000u) { return; }
    var clip = 1.0;
    if (params.max_grad_norm > 0.0) { clip = min(1.0, params.max_grad_norm / (norm + 1e-6)); }
    let key = vec2u(params.key_low, params.key_high);
    let span = span_of(number_of(group), lane, params.chunk, params.count);
    for (var i = span.first; i < span.end; i += span.step) {
        let p = parameters[i];
        let g = gradients[i];
        let m = first_moment[i];
        let v = second_moment[i];
        let a = updated(even(p), moment_even(m), moment_even(v), even(g) * clip);
        let b = updated(odd(p), moment_odd(m), moment_odd(v), odd(g) * clip);
        first_moment[i] = moment_of(a.m, b.m, key, params.first + i, 0u);
        second_moment[i] = moment_of(a.v, b.v, key, params.first + i, 1u);
        parameters[i] = join(a.p, b.p);
    }
}
