//! Every file that has tests.

test {
    _ = @import("abi_text.zig");
    _ = @import("addresses.zig");
    _ = @import("attached_test.zig");
    _ = @import("backend.zig");
    _ = @import("backend/kqueue_events.zig");
    _ = @import("backend_test.zig");
    _ = @import("deadlines.zig");
    _ = @import("signals.zig");
    _ = @import("endpoints_test.zig");
    _ = @import("lingering_test.zig");
    _ = @import("pool.zig");
    _ = @import("queue.zig");
    _ = @import("random_test.zig");
    _ = @import("resolver.zig");
    _ = @import("resolver_test.zig");
    _ = @import("scheduler_test.zig");
    _ = @import("sockets.zig");
    _ = @import("streams_test.zig");
    _ = @import("system.zig");
    _ = @import("tls/client_hello.zig");
    _ = @import("tls/credentials_test.zig");
    _ = @import("tls/established_sending_test.zig");
    _ = @import("tls/established_test.zig");
    _ = @import("tls/handshakes_test.zig");
    _ = @import("tls/held_test.zig");
    _ = @import("tls/hello.zig");
    _ = @import("tls/hello_limit.zig");
    _ = @import("tls/key_log_test.zig");
    _ = @import("tls/memory_test.zig");
    _ = @import("tls/offences_test.zig");
    _ = @import("tls/protection_test.zig");
    _ = @import("tls/quota.zig");
    _ = @import("tls/random_records_test.zig");
    _ = @import("tls/records.zig");
    _ = @import("tls/shortage_test.zig");
    _ = @import("tls/takeover_test.zig");
    _ = @import("tls/tampering_test.zig");
    _ = @import("tls/transfers_test.zig");
    _ = @import("tls/wire_test.zig");
    _ = @import("waker_test.zig");
    _ = @import("watching_test.zig");
}
