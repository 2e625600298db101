//! Host names to addresses by getaddrinfo(3), which blocks: each look-up runs on one of a few
//! threads that live only while there is work. A caller that gives up leaves its look-up to end by
//! itself, unheard.

const std = @import("std");
const assert = std.debug.assert;
const c = std.c;
const abi = @import("abi.zig");
const addresses = @import("addresses.zig");
const backend = @import("backend.zig");
const system = @import("system.zig");
const Scheduler = @import("scheduler.zig").Scheduler;
const Status = abi.Status;

/// getaddrinfo may load modules of the name service switch, which need some stack.
const stack_bytes = 512 * 1024;
const threads_at_most = 4;
/// Look-ups that wait for a thread or run; one more is refused.
const requests_at_most = 4096;
/// The longest host name in text form (RFC 1035, section 2.3.4).
pub const name_bytes = 255;

const none = @import("pool.zig").none;

const Request = struct {
    next: ?*Request = null,
    waiter: u32,
    family: abi.AddressFamily,
    name: [name_bytes + 1]u8,
    status: Status = .ok,
    count: u32 = 0,
    found: [abi.Limits.resolved_addresses]addresses.Peer = undefined,
};

const List = struct {
    head: ?*Request = null,
    tail: ?*Request = null,

    fn push(list: *List, request: *Request) void {
        request.next = null;
        if (list.tail) |tail| tail.next = request else list.head = request;
        list.tail = request;
    }

    fn remove(list: *List, waiter: u32) ?*Request {
        var previous: ?*Request = null;
        var next = list.head;
        while (next) |request| : (next = request.next) {
            if (request.waiter == waiter) {
                if (previous) |before| before.next = request.next else list.head = request.next;
                if (list.tail == request) list.tail = previous;
                return request;
            }
            previous = request;
        }
        return null;
    }

    fn pop(list: *List) ?*Request {
        const request = list.head orelse return null;
        list.head = request.next;
        if (list.head == null) list.tail = null;
        request.next = null;
        return request;
    }
};

pub const Resolver = struct {
    allocator: std.mem.Allocator,
    backend: backend.Backend,
    mutex: c.pthread_mutex_t = .{},
    queued: List = .{},
    finished: List = .{},
    running: [threads_at_most]?*Request = @splat(null),
    threads: u32 = 0,
    requests: u32 = 0,
    /// Set when the scheduler is gone: the last thread frees the resolver.
    abandoned: bool = false,
    /// Whether `finished` is worth a look; read without the lock.
    has_finished: std.atomic.Value(bool) = .init(false),
    /// Requests whose waiters were woken, until their callers take the addresses. Touched by the
    /// scheduler's thread alone.
    answered: std.AutoHashMapUnmanaged(u32, *Request) = .empty,

    pub fn create(allocator: std.mem.Allocator, notified: backend.Backend) ?*Resolver {
        const resolver = allocator.create(Resolver) catch return null;
        resolver.* = .{ .allocator = allocator, .backend = notified };
        return resolver;
    }

    /// Called by the scheduler when it ends. Threads that still look something up finish alone.
    pub fn abandon(resolver: *Resolver) void {
        resolver.lock();
        while (resolver.queued.pop()) |request| resolver.allocator.destroy(request);
        while (resolver.finished.pop()) |request| resolver.allocator.destroy(request);
        var iterator = resolver.answered.valueIterator();
        while (iterator.next()) |request| resolver.allocator.destroy(request.*);
        resolver.answered.deinit(resolver.allocator);
        resolver.abandoned = true;
        const is_last = resolver.threads == 0;
        resolver.unlock();
        if (is_last) resolver.allocator.destroy(resolver);
    }

    fn lock(resolver: *Resolver) void {
        const result = c.pthread_mutex_lock(&resolver.mutex);
        assert(result == .SUCCESS);
    }

    fn unlock(resolver: *Resolver) void {
        const result = c.pthread_mutex_unlock(&resolver.mutex);
        assert(result == .SUCCESS);
    }

    /// Looks a name up for a waiter, which is woken with the outcome.
    pub fn start(resolver: *Resolver, waiter: u32, name: []const u8, family: abi.AddressFamily) ?Status {
        if (name.len == 0 or name.len > name_bytes) return .ENOTFOUND;
        if (std.mem.indexOfScalar(u8, name, 0) != null) return .ENOTFOUND;
        const request = resolver.allocator.create(Request) catch return .ENOMEM;
        request.* = .{ .waiter = waiter, .family = family, .name = @splat(0) };
        @memcpy(request.name[0..name.len], name);

        resolver.lock();
        defer resolver.unlock();
        if (resolver.requests == requests_at_most) {
            resolver.allocator.destroy(request);
            return .exhausted;
        }
        if (resolver.threads < threads_at_most) {
            if (system.startThread(stack_bytes, run, .{resolver})) {
                resolver.threads += 1;
            } else if (resolver.threads == 0) {
                resolver.allocator.destroy(request);
                return .EAI_AGAIN;
            }
        }
        resolver.requests += 1;
        resolver.queued.push(request);
        return null;
    }

    /// The waiter's number is about to have another owner: its look-up must not wake that one. A
    /// look-up that has not begun is dropped, or it would keep the others waiting for nobody.
    pub fn forget(resolver: *Resolver, waiter: u32) void {
        resolver.lock();
        defer resolver.unlock();
        if (resolver.queued.remove(waiter)) |request| {
            resolver.requests -= 1;
            resolver.allocator.destroy(request);
            return;
        }
        var next = resolver.finished.head;
        while (next) |request| : (next = request.next) {
            if (request.waiter == waiter) request.waiter = none;
        }
        for (resolver.running) |entry| {
            if (entry) |request| if (request.waiter == waiter) {
                request.waiter = none;
            };
        }
    }

    fn run(resolver: *Resolver) void {
        resolver.lock();
        while (resolver.queued.pop()) |request| {
            const place = for (&resolver.running) |*entry| {
                if (entry.* == null) break entry;
            } else unreachable; // there are as many places as threads
            place.* = request;
            resolver.unlock();
            lookUp(request);
            resolver.lock();
            place.* = null;
            if (resolver.abandoned) {
                resolver.allocator.destroy(request);
                continue;
            }
            resolver.finished.push(request);
            resolver.has_finished.store(true, .release);
            // Under the lock, for the backend is closed right after `abandon` has had it.
            resolver.backend.notify();
        }
        resolver.threads -= 1;
        const is_last = resolver.abandoned and resolver.threads == 0;
        resolver.unlock();
        if (is_last) resolver.allocator.destroy(resolver);
    }

    /// Wakes the waiters of the look-ups that have ended.
    pub fn collect(resolver: *Resolver, scheduler: *Scheduler) void {
        if (!resolver.has_finished.load(.acquire)) return;
        resolver.lock();
        resolver.has_finished.store(false, .release);
        var finished = resolver.finished;
        resolver.finished = .{};
        resolver.unlock();
        while (finished.pop()) |request| {
            resolver.lock();
            resolver.requests -= 1;
            resolver.unlock();
            if (request.waiter == none) {
                resolver.allocator.destroy(request);
                continue;
            }
            const status = if (request.status == .ok) resolver.keep(request) else request.status;
            const waiter = request.waiter;
            if (status != .ok) resolver.allocator.destroy(request);
            scheduler.wake(waiter, status);
        }
    }

    fn keep(resolver: *Resolver, request: *Request) Status {
        resolver.answered.put(resolver.allocator, request.waiter, request) catch return .ENOMEM;
        return .ok;
    }

    /// Writes the addresses that a waiter was woken for, one a line, and frees them. Returns the
    /// length of the text.
    pub fn take(resolver: *Resolver, waiter: u32, text: []u8) ?usize {
        const entry = resolver.answered.fetchRemove(waiter) orelse return null;
        const request = entry.value;
        defer resolver.allocator.destroy(request);
        var length: usize = 0;
        for (request.found[0..request.count]) |*peer| {
            var line: [abi.Limits.address_text_bytes]u8 = undefined;
            const line_length = peer.format(&line);
            if (length + line_length + 1 > text.len) break;
            @memcpy(text[length..][0..line_length], line[0..line_length]);
            text[length + line_length] = '\n';
            length += line_length + 1;
        }
        return length;
    }
};

fn lookUp(request: *Request) void {
    var hints = std.mem.zeroes(c.addrinfo);
    hints.family = switch (request.family) {
        .ipv4 => c.AF.INET,
        .ipv6 => c.AF.INET6,
        else => c.AF.UNSPEC,
    };
    hints.socktype = c.SOCK.STREAM;
    var list: ?*c.addrinfo = null;
    const result = c.getaddrinfo(@ptrCast(&request.name), null, &hints, &list);
    if (@intFromEnum(result) != 0) {
        request.status = statusOf(@intFromEnum(result));
        return;
    }
    defer if (list) |first| c.freeaddrinfo(first);
    var next = list;
    while (next) |entry| : (next = entry.next) {
        if (request.count == request.found.len) break;
        const raw = entry.addr orelse continue;
        var address: system.Address = .{ .length = entry.addrlen };
        const bytes: [*]const u8 = @ptrCast(raw);
        const size: usize = @min(entry.addrlen, @sizeOf(@TypeOf(address.storage)));
        @memcpy(std.mem.asBytes(&address.storage)[0..size], bytes[0..size]);
        const peer: addresses.Peer = .of(&address);
        if (peer.family == .unspecified) continue;
        request.found[request.count] = peer;
        request.count += 1;
    }
    if (request.count == 0) request.status = .ENOTFOUND;
}

/// Node gives the same names to these failures.
fn statusOf(failure: i32) Status {
    const EAI = c.EAI;
    inline for (.{ "NONAME", "NODATA", "ADDRFAMILY" }) |name| {
        if (@hasField(EAI, name) and failure == @intFromEnum(@field(EAI, name))) return .ENOTFOUND;
    }
    if (failure == @intFromEnum(EAI.AGAIN)) return .EAI_AGAIN;
    if (failure == @intFromEnum(EAI.MEMORY)) return .ENOMEM;
    return .EAI_FAIL;
}
