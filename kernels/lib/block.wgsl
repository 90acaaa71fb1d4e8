// provides: block
// A block is four or eight rows that all lanes look at together: low and high. Numbers of a block are vectors with one
// component per row.

const LOW = vec4u(0u, 1u, 2u, 3u);
const HIGH = vec4u(4u, 5u, 6u, 7u);
const NEVER = -1e30;                   // score of a key that is not attended to
const LOG2E = 1.4426950408889634;

fn sum4(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

fn max4(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
