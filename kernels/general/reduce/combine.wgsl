// provides: combine
// needs: pack, team, numbers
// Sums or maxima. A NaN anywhere makes the result it belongs to NaN, for maxima too.

override MAX: bool = false;   // largest instead of sum

fn combine(a: Part, b: Part) -> Part {
    if (MAX) { return select(b, a, ((b <= a) & !is_nan(b)) | is_nan(a)); }
    return a + b;
}

fn combine_parts(even: Part, odd: Part) -> Part {
    if (MAX) { return combine(even, odd); }
    return sum_parts(even, odd);
}

fn team_combine(part: Part, lane: u32) -> f32 {
    if (MAX) {
        let any_nan = team_max(f32(any(is_nan(part))), lane);
        return select(team_max(max_part(part), lane), not_a_number(), any_nan > 0.0);
    }
    return team_sum(sum_part(part), lane);
}
