//! Every file that has tests.

test {
    _ = @import("boundary/abi_text.zig");
    _ = @import("boundary/exports_test.zig");
    _ = @import("os/addresses.zig");
    _ = @import("thread/attached_test.zig");
    _ = @import("os/backend.zig");
    _ = @import("os/backend/kqueue_events.zig");
    _ = @import("os/backend_test.zig");
    _ = @import("core/deadlines.zig");
    _ = @import("core/kernel_test.zig");
    _ = @import("thread/signals.zig");
    _ = @import("net/endpoints_test.zig");
    _ = @import("thread/lingering_test.zig");
    _ = @import("core/pool.zig");
    _ = @import("core/queue.zig");
    _ = @import("thread/random_test.zig");
    _ = @import("net/resolver.zig");
    _ = @import("net/resolver_test.zig");
    _ = @import("core/scheduler_test.zig");
    _ = @import("core/sockets.zig");
    _ = @import("net/streams_test.zig");
    _ = @import("os/errors.zig");
    _ = @import("os/system.zig");
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
    _ = @import("thread/waker_test.zig");
    _ = @import("net/watching_test.zig");
}
