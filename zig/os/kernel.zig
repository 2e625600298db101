//! The kernel under the core, chosen when the core is compiled (`kernel` in build.zig). The core reads the clock
//! and makes the calls of sockets through `system`. So another kernel can be put under it: the tests have one
//! whose calls can be made to fail and whose clock a test can set. Readiness (`backend`), signals and look-ups
//! are the system's own in either.

const options = @import("build_options");

pub const system = switch (options.kernel) {
    .native => @import("system.zig"),
    .faulty => @import("faulty_system.zig"),
};

pub const backend = @import("backend.zig");
pub const names = @import("names.zig");
