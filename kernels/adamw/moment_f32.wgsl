// provides: moment when stored=f32
// needs: pack
// A pack of moments, kept in float32 as it is.

alias Moment = Pack;

fn moment_even(moment: Moment) -> Part { return even(moment); }

fn moment_odd(moment: Moment) -> Part { return odd(moment); }

fn moment_of(even: Part, odd: Part, key: vec2u, index: u32, which: u32) -> Moment { return join(even, odd); }
