//! The kernel under the core, chosen when the core is compiled (`kernel` in build.zig). Every system call of
//! the core and every reading of its clock goes through `system`, and everything about readiness through
//! `backend`. So another kernel can be put under all of it: the tests have one whose calls fail and whose
//! clock stands still when a test says so.

const options = @import("build_options");

pub const system = switch (options.kernel) {
    .native => @import("system.zig"),
    .faulty => @import("faulty_system.zig"),
};

pub const backend = @import("backend.zig");
