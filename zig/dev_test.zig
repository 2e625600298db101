test {
    _ = @import("lingering_test.zig");
    _ = @import("resolver_test.zig");
    _ = @import("waker_test.zig");
    _ = @import("random_test.zig");
}
