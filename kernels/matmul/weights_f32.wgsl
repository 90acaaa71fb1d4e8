// The weights that nt and nn read, eight at a time: float32, as eight_*.wgsl loads them. weights_f16_*.wgsl are the other
// way.

alias Weights = Eight;

fn even_weights(eight: Weights) -> vec4f { return even(eight); }

fn odd_weights(eight: Weights) -> vec4f { return odd(eight); }
