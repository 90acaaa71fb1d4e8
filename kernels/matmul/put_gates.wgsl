// provides: put when epilogue=swiglu_gradient
// The product is the gradient dy[M, N] of y = silu(gate) * up: out[M, 2N] becomes that of the gates, to the left, and of the
// ups. pairs[M, N, 2] is what matmul/nt_swiglu stored.
//   dup = dy * silu(g);  dgate = dy * up * s * (1 + g * (1 - s)), with s = 1 / (1 + exp(-g))

@group(0) @binding(3) var<storage, read> pairs: array<Pack>;
@group(0) @binding(4) var<storage, read_write> out: array<Pack>;

struct Slopes {
    gate: vec4f,
    up: vec4f,
}

fn slopes_of(gate: vec4f, up: vec4f, slope: vec4f) -> Slopes {
    let s = 1.0 / (1.0 + exp(-gate));
    return Slopes(slope * up * s * (1.0 + gate * (1.0 - s)), slope * gate * s);
}

// It is never added to.
fn sums_before(at: Place, row: u32) -> Sums { return Sums(); }

fn put(at: Place, row: u32, evens: vec4f, odds: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        // Four columns each: even are their gates, odd their ups.
        let low = pairs[2u * i];
        let high = pairs[2u * i + 1u];
        let even_slopes = slopes_of(
            vec4f(even(low).xz, even(high).xz), vec4f(odd(low).xz, odd(high).xz), evens,
        );
        let odd_slopes = slopes_of(
            vec4f(even(low).yw, even(high).yw), vec4f(odd(low).yw, odd(high).yw), odds,
        );
        let gates = i + row * at.stride;
        out[gates] = join(even_slopes.gate, odd_slopes.gate);
        out[gates + at.stride] = join(even_slopes.up, odd_slopes.up);
    }
}
