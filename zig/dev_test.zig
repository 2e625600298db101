test { _ = @import("lingering_test.zig"); }
