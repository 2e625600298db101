//! Handshakes between two ends in one scheduler.

const std = @import("std");
const abi = @import("../abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../harness_test.zig");
const openssl = @import("openssl.zig");
const streams = @import("../streams.zig");
const system = @import("../system.zig");
const tls = @import("harness_test.zig");
const transfers = @import("transfers.zig");
const Harness = harness_module.Harness;
const Status = abi.Status;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectFailure = harness_module.expectFailure;
const valueOf = harness_module.valueOf;

test "a handshake succeeds, wakes its waiters once, and data goes both ways" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.scheduler);
    const client_context = try tls.clientContext(harness.scheduler);
    const pair = try tls.startPair(&harness, server_context, client_context, "localhost", "");
    const session = handshakes.find(harness.scheduler, pair.server).?;
    const waiter = handshakes.wait(harness.scheduler, session, null).?;
    try expectFailure(.would_block, harness.send(pair.server, "early", false));
    try harness.expectWoken(&.{.{ waiter, .ok }});
    try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
    try tls.expectText(&harness, pair.server, .protocol, "TLSv1.3");
    try tls.expectText(&harness, pair.server, .server_name, "localhost");
    try tls.expectText(&harness, pair.client, .cipher, "TLS_AES_256_GCM_SHA384");

    const reader = harness.park(pair.server, .readable);
    try expectEqual(5, try valueOf(harness.send(pair.client, "hello", false)));
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(pair.server, "hello", true);
    try expectEqual(5, try valueOf(harness.send(pair.server, "world", false)));
    var answer: [5]u8 = undefined;
    try tls.receiveAll(&harness, pair.client, &answer);
    try std.testing.expectEqualStrings("world", &answer);
    try expectEqual(10, harness.scheduler.shared.bytes_sent);
    try expectEqual(10, harness.scheduler.shared.bytes_received);

    try expectEqual(null, streams.close(harness.scheduler, pair.client));
    try expectEqual(.ok, try tls.ending(&harness, pair.server));
    try expectEqual(null, streams.close(harness.scheduler, pair.server));
}
