// provides: segments
// Packed segments that share prompt prefixes, and tiles of them: see src/ops/packed_layout.ts.

struct Params {
    tiles: u32,        // tiles in use
    heads: u32,        // H
    key_heads: u32,    // J
    scale: f32,        // 1 / sqrt(D)
    accumulate: u32,   // backward_*: add to dqkv instead of writing it
}

override TILE: u32 = 32u;   // tokens of a tile

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> segments: array<u32>;
@group(0) @binding(2) var<storage, read> tiles: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<Pack>;

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
