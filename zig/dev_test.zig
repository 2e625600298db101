test {
    _ = @import("watching_test.zig");
    _ = @import("endpoints_test.zig");
}
