//! The calls of `system.zig`. A test can make one of them fail, and can set the clock.

const native = @import("system.zig");
const Error = @import("errors.zig").Error;

/// What the clock shows, in nanoseconds; null is the system's time.
pub threadlocal var clock: ?i64 = null;

pub const Call = enum { socket, accept, connect, bind, listen, receive, send, set_option, shutdown };

/// The call that fails from now on, and how.
pub threadlocal var fault: ?struct { call: Call, failure: Error } = null;

fn check(call: Call) Error!void {
    const set = fault orelse return;
    if (set.call == call) return set.failure;
}

pub const Descriptor = native.Descriptor;
pub const Address = native.Address;
pub const is_linux = native.is_linux;
pub const is_darwin = native.is_darwin;
pub const short_read_empties = native.short_read_empties;
pub const Mutex = native.Mutex;
pub const SignalAction = native.SignalAction;

pub fn nanoseconds() i64 {
    return clock orelse native.nanoseconds();
}

pub fn socket(family: u32, kind: u32) Error!Descriptor {
    try check(.socket);
    return native.socket(family, kind);
}

pub fn accept(listener: Descriptor, peer: *Address) Error!Descriptor {
    try check(.accept);
    return native.accept(listener, peer);
}

pub fn connect(fd: Descriptor, address: *const Address) Error!void {
    try check(.connect);
    return native.connect(fd, address);
}

pub fn bind(fd: Descriptor, address: *const Address) Error!void {
    try check(.bind);
    return native.bind(fd, address);
}

pub fn listen(fd: Descriptor, backlog: u32) Error!void {
    try check(.listen);
    return native.listen(fd, backlog);
}

pub fn receive(fd: Descriptor, buffer: [*]u8, length: usize) Error!usize {
    try check(.receive);
    return native.receive(fd, buffer, length);
}

pub fn send(fd: Descriptor, buffer: [*]const u8, length: usize) Error!usize {
    try check(.send);
    return native.send(fd, buffer, length);
}

pub fn setOption(fd: Descriptor, level: i32, name: u32, value: anytype) Error!void {
    try check(.set_option);
    return native.setOption(fd, level, name, value);
}

pub fn shutdown(fd: Descriptor) Error!void {
    try check(.shutdown);
    return native.shutdown(fd);
}

pub const sendVector = native.sendVector;
pub const sendFile = native.sendFile;
pub const KernelPipe = native.KernelPipe;
pub const kernelPipe = native.kernelPipe;
pub const splice = native.splice;
pub const discard = native.discard;
pub const peek = native.peek;
pub const unacknowledged = native.unacknowledged;
pub const getOption = native.getOption;
pub const pendingError = native.pendingError;
pub const localAddress = native.localAddress;
pub const remoteAddress = native.remoteAddress;
pub const setNonBlocking = native.setNonBlocking;
pub const close = native.close;
pub const inode = native.inode;
pub const isOpen = native.isOpen;
pub const pollOne = native.pollOne;
pub const socketPair = native.socketPair;
pub const startThread = native.startThread;
pub const ring = native.ring;
pub const hangUp = native.hangUp;
pub const setSignalAction = native.setSignalAction;
pub const onThreadEnd = native.onThreadEnd;
pub const keepLoaded = native.keepLoaded;
pub const ignoreBrokenPipeSignal = native.ignoreBrokenPipeSignal;
pub const lastError = native.lastError;
pub const lastErrno = native.lastErrno;
