// provides: rows_of
// Four rows that neighbouring lanes hold.

fn rows_of(held: vec4f, lane: u32) -> mat4x4f {
    return mat4x4f(
        subgroupShuffle(held, lane), subgroupShuffle(held, lane + 1u),
        subgroupShuffle(held, lane + 2u), subgroupShuffle(held, lane + 3u),
    );
}
