//! Looks host names up. The system does so with a call that blocks, so look-ups run on a few threads, which exist
//! only while there is work. When a caller gives up, its look-up runs to its end and the result is dropped.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const backend = kernel.backend;
const kernel = @import("../os/kernel.zig");
const names = kernel.names;
const system = kernel.system;
const errors = @import("../os/errors.zig");
const Error = errors.Error;
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Scheduler = @import("../core/scheduler.zig").Scheduler;

/// getaddrinfo may load modules of the name service switch, which need some stack.
const stack_bytes = 512 * 1024;
/// Threads for look-ups that a caller waits for.
pub const threads_at_most = 4;
/// The limit together with those whose callers have given up. A name server that does not answer holds a
/// thread for longer than its callers wait, and other look-ups must not wait for that.
const all_threads_at_most = 32;
/// The longest host name in text form (RFC 1035, section 2.3.4).
pub const name_bytes = 255;

pub const Request = struct {
    node: List.Node = .{},
    /// `none` when the caller has given up.
    waiter: WaiterIndex,
    state: enum {
        queued,
        running,
        /// To be collected.
        finished,
        /// Its waiter was woken, and its caller takes the addresses.
        answered,
    } = .queued,
    family: abi.AddressFamily,
    name: [name_bytes + 1]u8,
    found: Error![]addresses.Peer = &.{},

    fn destroy(request: *Request, allocator: std.mem.Allocator) void {
        if (request.found) |found| allocator.free(found) else |_| {}
        allocator.destroy(request);
    }
};

const List = std.DoublyLinkedList;

fn popFirst(list: *List) ?*Request {
    return @fieldParentPtr("node", list.popFirst() orelse return null);
}

pub const Resolver = struct {
    allocator: std.mem.Allocator,
    backend: backend.Backend,
    mutex: system.Mutex = .{},
    queued: List = .{},
    finished: List = .{},
    threads: u32 = 0,
    /// Of these, the ones whose caller has given up.
    stray_threads: u32 = 0,
    /// Set when the scheduler is gone: the last thread frees the resolver.
    abandoned: bool = false,
    /// Whether `finished` has requests; read without the lock.
    has_finished: std.atomic.Value(bool) = .init(false),
    /// The requests that a caller waits for or whose addresses are still to be taken, by their waiters.
    /// Only the scheduler's thread uses it.
    wanted: std.AutoHashMapUnmanaged(WaiterIndex, *Request) = .empty,

    pub fn create(allocator: std.mem.Allocator, notified: backend.Backend) error{OutOfMemory}!*Resolver {
        const resolver = try allocator.create(Resolver);
        resolver.* = .{ .allocator = allocator, .backend = notified };
        return resolver;
    }

    /// Called when the thread of the scheduler ends. Threads with a look-up under way run on, and the last one
    /// frees the resolver.
    pub fn abandon(resolver: *Resolver) void {
        resolver.mutex.lock();
        var iterator = resolver.wanted.valueIterator();
        while (iterator.next()) |request| if (request.*.state == .answered) request.*.destroy(resolver.allocator);
        resolver.wanted.deinit(resolver.allocator);
        while (popFirst(&resolver.queued)) |request| request.destroy(resolver.allocator);
        while (popFirst(&resolver.finished)) |request| request.destroy(resolver.allocator);
        resolver.abandoned = true;
        const is_last = resolver.threads == 0;
        resolver.mutex.unlock();
        if (is_last) resolver.allocator.destroy(resolver);
    }

    /// Looks a name up for a waiter, which is woken with the outcome.
    pub fn start(resolver: *Resolver, waiter: WaiterIndex, name: []const u8, family: abi.AddressFamily) Error!void {
        if (name.len == 0 or name.len > name_bytes) return error.ENOTFOUND;
        if (std.mem.indexOfScalar(u8, name, 0) != null) return error.ENOTFOUND;
        const request = resolver.allocator.create(Request) catch return error.ENOMEM;
        request.* = .{ .waiter = waiter, .family = family, .name = @splat(0) };
        @memcpy(request.name[0..name.len], name);
        resolver.wanted.put(resolver.allocator, waiter, request) catch {
            request.destroy(resolver.allocator);
            return error.ENOMEM;
        };

        resolver.mutex.lock();
        defer resolver.mutex.unlock();
        if (!resolver.addThread() and resolver.threads == 0) {
            _ = resolver.wanted.remove(waiter);
            request.destroy(resolver.allocator);
            return error.EAI_AGAIN;
        }
        resolver.queued.append(&request.node);
    }

    /// Starts one more thread, with the lock held. False when there are enough, or the system refuses.
    fn addThread(resolver: *Resolver) bool {
        if (resolver.threads - resolver.stray_threads >= threads_at_most) return false;
        if (resolver.threads == all_threads_at_most) return false;
        if (!system.startThread(stack_bytes, run, .{resolver})) return false;
        resolver.threads += 1;
        return true;
    }

    /// The waiter's number is about to get another owner, which its look-up must not wake. A
    /// look-up that has not begun is dropped, so that it does not delay the others.
    pub fn forget(resolver: *Resolver, waiter: WaiterIndex) void {
        const request = (resolver.wanted.fetchRemove(waiter) orelse return).value;
        resolver.mutex.lock();
        defer resolver.mutex.unlock();
        switch (request.state) {
            .queued => {
                resolver.queued.remove(&request.node);
                request.destroy(resolver.allocator);
                return;
            },
            .running => {
                resolver.stray_threads += 1;
                if (resolver.queued.first != null) _ = resolver.addThread();
            },
            .finished => {},
            // Its waiter was woken, and the caller does not take the addresses.
            .answered => return request.destroy(resolver.allocator),
        }
        request.waiter = .none;
    }

    fn run(resolver: *Resolver) void {
        resolver.mutex.lock();
        while (popFirst(&resolver.queued)) |request| {
            request.state = .running;
            resolver.mutex.unlock();
            request.found = names.lookUp(resolver.allocator, @ptrCast(&request.name), request.family);
            resolver.mutex.lock();
            if (request.waiter == .none) resolver.stray_threads -= 1;
            if (resolver.abandoned) {
                request.destroy(resolver.allocator);
                continue;
            }
            request.state = .finished;
            resolver.finished.append(&request.node);
            resolver.has_finished.store(true, .release);
            // With the lock held, because the backend is closed after `abandon`.
            resolver.backend.notify();
            // Other threads were started while the look-up of this one had no caller. If there are too many now,
            // this one ends.
            if (resolver.threads - resolver.stray_threads > threads_at_most) break;
        }
        resolver.threads -= 1;
        const is_last = resolver.abandoned and resolver.threads == 0;
        resolver.mutex.unlock();
        if (is_last) resolver.allocator.destroy(resolver);
    }

    /// Wakes the waiters of the look-ups that have ended.
    pub fn collect(resolver: *Resolver, scheduler: *Scheduler) void {
        if (!resolver.has_finished.load(.acquire)) return;
        resolver.mutex.lock();
        resolver.has_finished.store(false, .release);
        var finished = resolver.finished;
        resolver.finished = .{};
        resolver.mutex.unlock();
        while (popFirst(&finished)) |request| {
            const waiter = request.waiter;
            if (waiter == .none) {
                request.destroy(resolver.allocator);
            } else if (request.found) |_| {
                request.state = .answered;
                scheduler.wake(waiter, .ok);
            } else |failure| {
                _ = resolver.wanted.remove(waiter);
                request.destroy(resolver.allocator);
                scheduler.wake(waiter, errors.statusOf(failure));
            }
        }
    }

    /// Writes the addresses that a waiter was woken for, one a line, and frees them. Returns the
    /// length of the text; when that is more than there is room for, nothing is written or freed.
    pub fn take(resolver: *Resolver, waiter: WaiterIndex, text: []u8) ?usize {
        const request = resolver.wanted.get(waiter) orelse return null;
        if (request.state != .answered) return null;
        var line: [abi.Limits.address_text_bytes]u8 = undefined;
        var length: usize = 0;
        for (request.found catch unreachable) |*peer| {
            const line_length = peer.format(&line);
            if (length + line_length + 1 <= text.len) {
                @memcpy(text[length..][0..line_length], line[0..line_length]);
                text[length + line_length] = '\n';
            }
            length += line_length + 1;
        }
        if (length > text.len) return length;
        _ = resolver.wanted.remove(waiter);
        request.destroy(resolver.allocator);
        return length;
    }
};

fn expectLookedUp(threads: u32, queued: usize, looked_up: usize) !void {
    const allocator = std.testing.allocator;
    const notified = try backend.Backend.open();
    defer notified.close();
    const resolver = try Resolver.create(allocator, notified);
    defer resolver.abandon();
    for (0..queued) |number| {
        const request = try allocator.create(Request);
        request.* = .{ .waiter = @enumFromInt(number), .family = .ipv4, .name = @splat(0) };
        @memcpy(request.name[0..9], "127.0.0.1");
        resolver.queued.append(&request.node);
    }
    // This thread pretends to be one of `threads`.
    resolver.threads = threads;
    resolver.run();
    try std.testing.expectEqual(threads - 1, resolver.threads);
    resolver.threads = 0;
    try std.testing.expectEqual(looked_up, resolver.finished.len());
}

test "a thread ends when there is no work left, or when others have taken its place meanwhile" {
    try expectLookedUp(1, 3, 3);
    try expectLookedUp(threads_at_most, 3, 3);
    try expectLookedUp(threads_at_most + 1, 3, 1);
}
