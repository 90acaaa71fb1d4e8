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
    return vec4f(saved_lse[at.x], saved_lse[at.y], saved_lse[at.z], saved_lse[at.w]);
}

fn row_dot_rows(held: f32, lane: u32, at: vec4u) -> vec4f {
    return vec4f(saved_row_dot[at.x], saved_row_dot[at.y], saved_row_dot[at.z], saved_row_dot[at.w]);
}
