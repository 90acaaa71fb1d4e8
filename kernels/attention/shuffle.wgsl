// For narrow subgroups (software adapters), where a load costs as much for one address as for one per lane: each lane
// loads a row of its own, and the rows are passed around. Needs a tile of exactly one subgroup.

fn qkv_of(held: vec4f, lane: u32, at: u32) -> vec4f { return subgroupShuffle(held, lane); }

fn dout_of(held: vec4f, lane: u32, at: u32) -> vec4f { return subgroupShuffle(held, lane); }

fn lse_of(held: f32, lane: u32, at: u32) -> f32 { return subgroupShuffle(held, lane); }

fn row_dot_of(held: f32, lane: u32, at: u32) -> f32 { return subgroupShuffle(held, lane); }
