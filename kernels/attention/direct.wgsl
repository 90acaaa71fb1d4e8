// All lanes load the same row at the same time, which the hardware broadcasts; what a lane holds is not used, and its
// load is dropped by the compiler.

fn qkv_of(held: vec4f, lane: u32, at: u32) -> vec4f { return qkv[at]; }

fn dout_of(held: vec4f, lane: u32, at: u32) -> vec4f { return dout[at]; }

fn lse_of(held: f32, lane: u32, at: u32) -> f32 { return saved_lse[at]; }

fn row_dot_of(held: f32, lane: u32, at: u32) -> f32 { return saved_row_dot[at]; }
