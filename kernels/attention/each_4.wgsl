// For heads of up to 4 pieces, see attention/each.wgsl.

fn each(phase: u32) { each4(phase, 0u); }
