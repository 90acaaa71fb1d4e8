// provides: attention
// needs: pack, each, block, passing
// Causal grouped-query attention over packed segments that share prompt prefixes (FlashAttention-2, arXiv 2307.08691):
//   out = softmax(q k^T / sqrt(D)) v, with scores never stored; the log-sum-exp of each row is.
// qkv (T, (H + 2J) D); out, dout (T, H D); stats (T, H, 2): lse and row_dot. Segments and tiles: see src/ops/packed_layout.ts.
// This file is what the passes attention/forward, /backward_query and /backward_key have in common. In each a workgroup
// is a tile of tokens and a head, and a lane is one token; the rows of the other side are walked through in blocks, and
// reach all lanes through the *_rows functions of attention/shuffle or attention/direct.
// Scores are in units of log 2, so that exp2 serves.

struct Params {
    tiles: u32,        // tiles in use
    heads: u32,        // H
    key_heads: u32,    // J
    scale: f32,        // 1 / sqrt(D)
    accumulate: u32,   // backward_*: add to dqkv instead of writing it
}

override TILE: u32 = 32u;
override BLOCK: u32 = 4u;   // rows of the other side at a time: 4 or 8, see lib/block

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> segments: array<u32>;
@group(0) @binding(2) var<storage, read> tiles: array<u32>;
// What *_rows give the rows of.
@group(0) @binding(3) var<storage, read> qkv: array<Pack>;
@group(0) @binding(4) var<storage, read> dout: array<Pack>;
@group(0) @binding(5) var<storage, read> saved_stats: array<f32>;

struct Tile {
    first: u32,          // first token
    end: u32,            // one past the last token of the tile
    start: u32,          // first token of the segment
    prefix_start: u32,
    prefix: u32,         // tokens of the prompt before the segment
    query_end: u32,
}

fn read_tile(tile: u32) -> Tile {
    let first = tiles[2u * tile + 1u];
    let at = 5u * tiles[2u * tile];
    let prefix_start = segments[at + 2u];
    return Tile(
        first, min(first + TILE, segments[at + 1u]), segments[at], prefix_start,
        segments[at + 3u] - prefix_start, segments[at + 4u],
    );
}

// Tokens by their distance from the start of the prompt.
fn tokens_at(tile: Tile, positions: vec4u) -> vec4u {
    let offset = select(
        vec4u(tile.start - tile.prefix), vec4u(tile.prefix_start), positions < vec4u(tile.prefix),
    );
    return offset + positions;
}
