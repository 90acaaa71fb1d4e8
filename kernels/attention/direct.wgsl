// provides: passing when passing=direct
// All lanes load the same rows at the same time, which the hardware broadcasts; what a lane holds is not used, and its
// load is dropped by the compiler.

fn qkv_rows(held: vec4f, lane: u32, at: vec4u) -> mat4x4f {
    return mat4x4f(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]);
}

fn dout_rows(held: vec4f, lane: u32, at: vec4u) -> mat4x4f {
    return mat4x4f(dout[at.x], dout[at.y], dout[at.z], dout[at.w]);
}

fn lse_rows(held: f32, lane: u32, at: vec4u) -> vec4f {
    return vec4f(
        saved_stats[2u * at.x], saved_stats[2u * at.y], saved_stats[2u * at.z], saved_stats[2u * at.w],
    );
}

fn row_dot_rows(held: f32, lane: u32, at: vec4u) -> vec4f {
    return vec4f(
        saved_stats[2u * at.x + 1u], saved_stats[2u * at.y + 1u],
        saved_stats[2u * at.z + 1u], saved_stats[2u * at.w + 1u],
    );
}
