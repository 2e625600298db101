//! The kernel under the core, chosen when the core is compiled (`kernel` in build.zig). The core makes every system
//! call and reads the clock through `system`, and uses `backend` for readiness. So another kernel can be put
//! under it: the tests have one whose calls can be made to fail and whose clock a test can set.

const options = @import("build_options");

pub const system = switch (options.kernel) {
    .native => @import("system.zig"),
    .faulty => @import("faulty_system.zig"),
};

pub const backend = @import("backend.zig");
