//! Readiness on Linux: epoll(7), with a timerfd for deadlines and an eventfd for other threads.

const std = @import("std");
const c = std.c;
const linux = std.os.linux;
const system = @import("../system.zig");
const events_module = @import("events.zig");
const Error = @import("../errors.zig").Error;
const Descriptor = system.Descriptor;
const Event = events_module.Event;

const timer_token = events_module.reserved_tokens;
const notifier_token = events_module.reserved_tokens + 1;
const host_token = events_module.reserved_tokens + 2;

/// Descriptors below this one are searched for the host loop's; it is among a process's first.
const host_search_limit = 256;
const searches_for_host_at_most = 8;

const socket_mask = linux.EPOLL.IN | linux.EPOLL.OUT | linux.EPOLL.RDHUP | linux.EPOLL.PRI | linux.EPOLL.ET;

pub const Backend = struct {
    epoll: Descriptor,
    timer: Descriptor,
    notifier: Descriptor,
    /// Cleared when the kernel lacks epoll_pwait2 (before 5.11) or a sandbox forbids it.
    has_precise_wait: bool = true,
    /// The epoll descriptor of Bun's loop, or -1.
    host: Descriptor = -1,
    searches_for_host: u8 = 0,
    timer_has_fired: bool = false,
    /// Set when Bun's loop has something to do; `watchHost` clears it.
    host_is_ready: bool = false,

    pub fn open() Error!Backend {
        const epoll = c.epoll_create1(linux.EPOLL.CLOEXEC);
        if (epoll < 0) return system.lastError();
        const timer = c.timerfd_create(.MONOTONIC, @bitCast(linux.TFD{ .NONBLOCK = true, .CLOEXEC = true }));
        const notifier = c.eventfd(0, linux.EFD.NONBLOCK | linux.EFD.CLOEXEC);
        const self: Backend = .{ .epoll = epoll, .timer = timer, .notifier = notifier };
        errdefer self.close();
        if (timer < 0 or notifier < 0) return system.lastError();
        // Edge-triggered, neither has to be read after it has fired.
        const edge = linux.EPOLL.IN | linux.EPOLL.ET;
        try self.control(linux.EPOLL.CTL_ADD, timer, edge, timer_token);
        try self.control(linux.EPOLL.CTL_ADD, notifier, edge, notifier_token);
        return self;
    }

    pub fn close(self: Backend) void {
        for ([_]Descriptor{ self.timer, self.notifier, self.epoll }) |fd| {
            if (fd >= 0) system.close(fd);
        }
    }

    pub fn descriptor(self: Backend) Descriptor {
        return self.epoll;
    }

    pub fn register(self: Backend, fd: Descriptor, token: u64) Error!void {
        return self.control(linux.EPOLL.CTL_ADD, fd, socket_mask, token);
    }

    /// Reports unread input once more, although no more has arrived.
    pub fn rearm(self: Backend, fd: Descriptor, token: u64) void {
        self.control(linux.EPOLL.CTL_MOD, fd, socket_mask, token) catch {};
    }

    pub fn unregister(self: Backend, fd: Descriptor) void {
        _ = c.epoll_ctl(self.epoll, linux.EPOLL.CTL_DEL, fd, null);
    }

    pub fn watch(self: Backend, fd: Descriptor, token: u64, interest: events_module.Interest, first: bool) Error!void {
        var mask: u32 = linux.EPOLL.ONESHOT;
        if (interest.readable) mask |= linux.EPOLL.IN | linux.EPOLL.RDHUP;
        if (interest.writable) mask |= linux.EPOLL.OUT;
        const operation: u32 = if (first) linux.EPOLL.CTL_ADD else linux.EPOLL.CTL_MOD;
        return self.control(operation, fd, mask, token);
    }

    fn control(self: Backend, operation: u32, fd: Descriptor, mask: u32, token: u64) Error!void {
        var event: linux.epoll_event = .{ .events = mask, .data = .{ .u64 = token } };
        if (c.epoll_ctl(self.epoll, operation, fd, &event) != 0) return system.lastError();
    }

    pub fn wait(self: *Backend, events: *[events_module.events_per_wait]Event, timeout_nanoseconds: ?i64) []Event {
        var raw: [events_module.events_per_wait]linux.epoll_event = undefined;
        const ready = self.waitRaw(&raw, timeout_nanoseconds);
        var count: usize = 0;
        for (raw[0..ready]) |entry| {
            const token = entry.data.u64;
            if (token == host_token) self.host_is_ready = true;
            if (token == timer_token) self.timer_has_fired = true;
            if (token >= events_module.reserved_tokens) continue;
            events[count] = translate(token, entry.events);
            count += 1;
        }
        return events[0..count];
    }

    fn waitRaw(self: *Backend, raw: *[events_module.events_per_wait]linux.epoll_event, timeout_nanoseconds: ?i64) usize {
        // An interrupted wait counts as one without events: the caller polls again.
        if (timeout_nanoseconds == null or timeout_nanoseconds.? == 0) {
            const timeout: c_int = if (timeout_nanoseconds == null) -1 else 0;
            const count = c.epoll_wait(self.epoll, raw, raw.len, timeout);
            return if (count < 0) 0 else @intCast(count);
        }
        const nanoseconds = timeout_nanoseconds.?;
        if (self.has_precise_wait) {
            var timeout: linux.timespec = .{
                .sec = @intCast(@divTrunc(nanoseconds, std.time.ns_per_s)),
                .nsec = @intCast(@mod(nanoseconds, std.time.ns_per_s)),
            };
            const result = linux.syscall6(
                .epoll_pwait2,
                @as(usize, @intCast(self.epoll)),
                @intFromPtr(raw),
                raw.len,
                @intFromPtr(&timeout),
                0,
                0,
            );
            switch (linux.errno(result)) {
                .SUCCESS => return result,
                .NOSYS, .PERM => self.has_precise_wait = false,
                else => return 0,
            }
        }
        // Rounded up, so that a deadline has passed when the wait for it ends.
        const milliseconds = std.math.divCeil(i64, nanoseconds, std.time.ns_per_ms) catch unreachable;
        const count = c.epoll_wait(self.epoll, raw, raw.len, std.math.lossyCast(c_int, milliseconds));
        return if (count < 0) 0 else @intCast(count);
    }

    pub fn setTimer(self: Backend, nanoseconds: i64) Error!void {
        const point = @max(nanoseconds, 1); // zero would disarm it
        const setting: linux.itimerspec = .{
            .it_interval = .{ .sec = 0, .nsec = 0 },
            .it_value = .{
                .sec = @intCast(@divTrunc(point, std.time.ns_per_s)),
                .nsec = @intCast(@mod(point, std.time.ns_per_s)),
            },
        };
        if (c.timerfd_settime(self.timer, @bitCast(linux.TFD.TIMER{ .ABSTIME = true }), &setting, null) != 0) return system.lastError();
    }

    /// Finds the epoll instance in which `bell` is registered, which is that of Bun's loop, by
    /// /proc/self/fdinfo (proc(5)). From then on `watchHost` works. The first turns of a program
    /// may come before the bell is in its loop, so it searches a few times.
    pub fn findHost(self: *Backend, bell: Descriptor) bool {
        if (self.host >= 0) return true;
        if (self.searches_for_host == searches_for_host_at_most) return false;
        self.searches_for_host += 1;
        for (3..host_search_limit) |candidate| {
            const fd: Descriptor = @intCast(candidate);
            if (fd == self.epoll or !hasMember(fd, bell)) continue;
            self.control(linux.EPOLL.CTL_ADD, fd, linux.EPOLL.ONESHOT, host_token) catch return false;
            self.host = fd;
            return true;
        }
        return false;
    }

    fn hasMember(epoll: Descriptor, member: Descriptor) bool {
        var path: [64]u8 = undefined;
        const name = std.fmt.bufPrintZ(&path, "/proc/self/fdinfo/{d}", .{epoll}) catch unreachable;
        const file = c.open(name, .{ .ACCMODE = .RDONLY, .CLOEXEC = true });
        if (file < 0) return false;
        defer system.close(file);
        // Lines are shorter than what is carried over from one read to the next.
        var text: [16 * 1024]u8 = undefined;
        var carried: usize = 0;
        while (true) {
            const count = c.read(file, text[carried..].ptr, text.len - carried);
            if (count <= 0) return false;
            const length = carried + @as(usize, @intCast(count));
            const end = std.mem.lastIndexOfScalar(u8, text[0..length], '\n') orelse return false;
            var lines = std.mem.splitScalar(u8, text[0..end], '\n');
            while (lines.next()) |line| if (memberOfLine(line) == member) return true;
            carried = length - (end + 1);
            std.mem.copyForwards(u8, text[0..carried], text[end + 1 .. length]);
        }
    }

    /// The descriptor in a line of an epoll instance's fdinfo: "tfd:        9 events: ...".
    fn memberOfLine(line: []const u8) ?Descriptor {
        if (!std.mem.startsWith(u8, line, "tfd:")) return null;
        var words = std.mem.tokenizeScalar(u8, line["tfd:".len..], ' ');
        return std.fmt.parseInt(Descriptor, words.next() orelse return null, 10) catch null;
    }

    /// Makes `wait` return once, with `host_is_ready` set, when Bun's loop has something to do; or stops
    /// doing so.
    pub fn watchHost(self: *Backend, on: bool) void {
        if (self.host < 0) return;
        self.host_is_ready = false;
        const mask: u32 = linux.EPOLL.ONESHOT | if (on) linux.EPOLL.IN else @as(u32, 0);
        self.control(linux.EPOLL.CTL_MOD, self.host, mask, host_token) catch {};
    }

    pub fn notify(self: Backend) void {
        const one: u64 = 1;
        _ = c.write(self.notifier, @ptrCast(&one), @sizeOf(u64));
    }
};

pub const Alarm = struct {
    outer: Descriptor,
    inner: Descriptor,

    const inner_token = 0;
    const bell_token = 1;

    pub fn open(inner: Backend, bell: Descriptor) Error!Alarm {
        const outer = c.epoll_create1(linux.EPOLL.CLOEXEC);
        if (outer < 0) return system.lastError();
        const self: Alarm = .{ .outer = outer, .inner = inner.epoll };
        errdefer self.close();
        // EPOLLHUP is always reported; nothing is ever sent through the bell towards the core.
        try self.control(linux.EPOLL.CTL_ADD, bell, 0, bell_token);
        try self.control(linux.EPOLL.CTL_ADD, self.inner, linux.EPOLL.ONESHOT, inner_token);
        return self;
    }

    pub fn close(self: Alarm) void {
        system.close(self.outer);
    }

    /// One system call, and the waker thread sleeps on: only readiness wakes it.
    pub fn arm(self: Alarm) void {
        self.control(linux.EPOLL.CTL_MOD, self.inner, linux.EPOLL.IN | linux.EPOLL.ONESHOT, inner_token) catch
            @panic("the alarm cannot be armed");
    }

    pub fn wait(self: Alarm) events_module.Reason {
        var events: [2]linux.epoll_event = undefined;
        while (true) {
            const count = c.epoll_wait(self.outer, &events, events.len, -1);
            if (count <= 0) continue;
            for (events[0..@intCast(count)]) |event| {
                if (event.data.u64 == bell_token) return .hangup;
            }
            return .ready;
        }
    }

    fn control(self: Alarm, operation: u32, fd: Descriptor, mask: u32, token: u64) Error!void {
        var event: linux.epoll_event = .{ .events = mask, .data = .{ .u64 = token } };
        if (c.epoll_ctl(self.outer, operation, fd, &event) != 0) return system.lastError();
    }
};

fn translate(token: u64, mask: u32) Event {
    const hangup = mask & (linux.EPOLL.RDHUP | linux.EPOLL.HUP | linux.EPOLL.ERR) != 0;
    const urgent = mask & linux.EPOLL.PRI != 0;
    const failed = mask & (linux.EPOLL.HUP | linux.EPOLL.ERR) != 0;
    return .{
        .token = token,
        .readable = hangup or mask & linux.EPOLL.IN != 0,
        .writable = failed or mask & linux.EPOLL.OUT != 0,
        .special = hangup or urgent,
    };
}

test "a peer's half close is readable, not writable" {
    const event = translate(5, linux.EPOLL.RDHUP);
    try std.testing.expectEqual(Event{ .token = 5, .readable = true, .writable = false, .special = true }, event);
}

test "a failed connection is both" {
    const event = translate(5, linux.EPOLL.ERR);
    try std.testing.expectEqual(Event{ .token = 5, .readable = true, .writable = true, .special = true }, event);
}

test "the loop that a descriptor lives in is found, and ends a wait" {
    var self = try Backend.open();
    defer self.close();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    var lonely = try Backend.open();
    defer lonely.close();
    try std.testing.expect(!lonely.findHost(pair[0]));
    var other = try Backend.open();
    defer other.close();
    try other.watch(pair[0], 1, .{ .readable = true, .writable = false }, true);
    try std.testing.expect(self.findHost(pair[0]));

    var events: [events_module.events_per_wait]Event = undefined;
    _ = try system.send(pair[1], "x", 1);
    _ = self.wait(&events, 0);
    try std.testing.expect(!self.host_is_ready);
    self.watchHost(true);
    try std.testing.expectEqual(0, self.wait(&events, null).len);
    try std.testing.expect(self.host_is_ready);
    self.watchHost(false);
    try std.testing.expectEqual(0, self.wait(&events, 0).len);
    try std.testing.expect(!self.host_is_ready);
}

/// Has the kernel refuse epoll_pwait2 to this process with this error, as the sandboxes of containers do
/// (seccomp(2)). False when it does not let us.
fn refusePreciseWait(errno: linux.E) bool {
    const Instruction = extern struct { code: u16, if_true: u8 = 0, if_false: u8 = 0, value: u32 };
    const Program = extern struct { length: u16, instructions: [*]const Instruction };
    const load_number = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const is_equal = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const end = 0x06; // BPF_RET | BPF_K
    const allow = 0x7fff_0000; // SECCOMP_RET_ALLOW
    const refuse = 0x0005_0000; // SECCOMP_RET_ERRNO
    const instructions = [_]Instruction{
        .{ .code = load_number, .value = 0 },
        .{ .code = is_equal, .value = @intFromEnum(linux.SYS.epoll_pwait2), .if_false = 1 },
        .{ .code = end, .value = refuse | @as(u32, @intFromEnum(errno)) },
        .{ .code = end, .value = allow },
    };
    const program: Program = .{ .length = instructions.len, .instructions = &instructions };
    const filter_mode = 2; // SECCOMP_MODE_FILTER
    return linux.errno(linux.prctl(@intFromEnum(linux.PR.SET_NO_NEW_PRIVS), 1, 0, 0, 0)) == .SUCCESS and
        linux.errno(linux.prctl(@intFromEnum(linux.PR.SET_SECCOMP), filter_mode, @intFromPtr(&program), 0, 0)) == .SUCCESS;
}

/// Whether waits end at their time and not before, and at an event.
fn waitsWell(self: *Backend) bool {
    var events: [events_module.events_per_wait]Event = undefined;
    for ([_]i64{ 1, 1_500_000, 20 * std.time.ns_per_ms }) |nanoseconds| {
        const start = system.nanoseconds();
        if (self.wait(&events, nanoseconds).len != 0) return false;
        if (system.nanoseconds() - start < nanoseconds) return false;
    }
    self.notify();
    const start = system.nanoseconds();
    _ = self.wait(&events, 3600 * std.time.ns_per_s);
    return system.nanoseconds() - start < 60 * std.time.ns_per_s;
}

test "where epoll_pwait2 is not to be had, waits end at their time all the same" {
    const Verdict = enum(u8) { well = 0, badly = 1, not_sandboxed = 2 };
    for ([_]linux.E{ .NOSYS, .PERM }) |errno| {
        // The kernel does not take a filter back.
        const child = c.fork();
        try std.testing.expect(child >= 0);
        if (child == 0) {
            const verdict: Verdict = verdict: {
                if (!refusePreciseWait(errno)) break :verdict .not_sandboxed;
                var self = Backend.open() catch break :verdict .badly;
                break :verdict if (waitsWell(&self) and !self.has_precise_wait) .well else .badly;
            };
            c._exit(@intFromEnum(verdict));
        }
        var status: c_int = undefined;
        try std.testing.expectEqual(child, c.waitpid(child, &status, 0));
        const word: u32 = @bitCast(status);
        try std.testing.expect(linux.W.IFEXITED(word));
        switch (@as(Verdict, @enumFromInt(linux.W.EXITSTATUS(word)))) {
            .well => {},
            .badly => return error.WaitedBadly,
            .not_sandboxed => {
                std.debug.print("skipped: this process may not have a seccomp filter\n", .{});
                return error.SkipZigTest;
            },
        }
    }
}
