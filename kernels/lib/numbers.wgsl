// provides: numbers
// What is not a number, told by bits: compilers may assume that floats are numbers, and some devices make numbers of what
// is none (exp(NaN) is infinite there, max(NaN, x) is x).

// Of a variable, because WGSL refuses constants that are NaN.
fn not_a_number() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

fn is_not_a_number(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }

// ln x; of NaN it is NaN.
fn log_of(x: f32) -> f32 { return select(x, log(x), is_finite(x)); }

// A sum of exp(x - the largest x), which is 1 or more. It is neither that nor finite where an x is NaN or infinite, or all
// are minus infinity: then NaN.
fn softmax_sum(sum: f32) -> f32 {
    let bits = bitcast<u32>(sum);
    return select(not_a_number(), sum, bits > 0x3f000000u && bits < 0x7f800000u);
}
