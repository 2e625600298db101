//! The kernel under the core, chosen when the core is compiled (`kernel` in build.zig). No file outside of this
//! folder calls the system but through what is declared here: `system` has the clock, sockets, signals and threads,
//! `backend` readiness, and `names` look-ups. So another kernel can be put under the core. The tests have one whose
//! calls can be made to fail and whose clock a test can set; its readiness and look-ups are the system's own.

const options = @import("build_options");

pub const system = switch (options.kernel) {
    .native => @import("system.zig"),
    .faulty => @import("faulty_system.zig"),
};

pub const backend = switch (options.kernel) {
    .native, .faulty => @import("backend.zig"),
};

pub const names = switch (options.kernel) {
    .native, .faulty => @import("names.zig"),
};
