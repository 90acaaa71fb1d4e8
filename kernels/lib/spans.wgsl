// provides: spans
// needs: team
// How a workgroup shares out its stretch of a flat array: the lanes take turns, or each has a span of its own, which a
// software adapter reads faster, since its lanes then read from several pages of memory at once.

override OWN_SPANS: bool = false;

// What a lane has to visit: first, first + step, … below end.
struct Span {
    first: u32,
    end: u32,
    step: u32,
}

// Of `count` elements in stretches of `width` per workgroup.
fn span_of(group: u32, lane: u32, width: u32, count: u32) -> Span {
    let begin = group * width;
    let end = min(begin + width, count);
    if (OWN_SPANS) {
        let length = (width + LANES - 1u) / LANES;
        let first = begin + lane * length;
        return Span(first, min(first + length, end), 1u);
    }
    return Span(begin + lane, end, LANES);
}
