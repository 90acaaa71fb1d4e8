// provides: each when calls=4
// needs: each4
// For heads of up to 4 packs.

fn each(phase: u32) { each4(phase, 0u); }
