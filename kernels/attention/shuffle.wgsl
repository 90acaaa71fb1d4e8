// provides: passing when passing=shuffle
// needs: rows_of
// For narrow subgroups (software adapters), where a load costs as much for one address as for one per lane: each lane
// loads a row of its own, and four rows at a time are passed around. Needs a tile of exactly one subgroup.

fn qkv_rows(held: vec4f, lane: u32, at: vec4u) -> mat4x4f { return rows_of(held, lane); }

fn dout_rows(held: vec4f, lane: u32, at: vec4u) -> mat4x4f { return rows_of(held, lane); }

fn lse_rows(held: f32, lane: u32, at: vec4u) -> vec4f { return numbers_of(held, lane); }

fn row_dot_rows(held: f32, lane: u32, at: vec4u) -> vec4f { return numbers_of(held, lane); }

fn numbers_of(held: f32, lane: u32) -> vec4f {
    return vec4f(
        subgroupShuffle(held, lane), subgroupShuffle(held, lane + 1u),
        subgroupShuffle(held, lane + 2u), subgroupShuffle(held, lane + 3u),
    );
}
