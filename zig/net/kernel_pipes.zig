//! The pipes within the kernel through which data moves from one plain socket to another (splice(2)). Few ways
//! need one at a time: a pipe is empty between two calls, except while the socket behind it takes no more.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/kernel.zig").system;
const Error = @import("../os/errors.zig").Error;

pub const KernelPipe = struct {
    /// Owned; null while the slot is free.
    ends: ?system.KernelPipe = null,
    /// Bytes that came in and did not go out yet.
    held: usize = 0,

    /// Moves what a socket has received into the pipe. 0 says that nothing was moved.
    pub fn fill(pipe: *KernelPipe, socket: system.Descriptor) Error!usize {
        // So WouldBlock is never about the pipe.
        assert(pipe.held == 0, "a kernel pipe is filled before it was emptied");
        pipe.held = try system.splice(socket, pipe.ends.?.input, abi.Limits.kernel_pipe_bytes);
        return pipe.held;
    }

    /// Moves what the pipe holds to a socket.
    pub fn drain(pipe: *KernelPipe, socket: system.Descriptor) Error!usize {
        assert(pipe.held > 0, "an empty kernel pipe is sent");
        system.ignoreBrokenPipeSignal();
        const count = try system.splice(pipe.ends.?.output, socket, pipe.held);
        pipe.held -= count;
        return count;
    }
};

/// The pipes of a thread. The caller names one by its number.
pub const KernelPipes = struct {
    slots: [abi.Limits.kernel_pipes]KernelPipe = @splat(.{}),

    pub fn deinit(pipes: *KernelPipes) void {
        for (&pipes.slots, 0..) |*slot, number| {
            if (slot.ends != null) pipes.close(number);
        }
    }

    pub fn open(pipes: *KernelPipes) Error!usize {
        for (&pipes.slots, 0..) |*slot, number| {
            if (slot.ends != null) continue;
            slot.* = .{ .ends = try system.kernelPipe(abi.Limits.kernel_pipe_bytes) };
            return number;
        }
        return error.Exhausted;
    }

    pub fn find(pipes: *KernelPipes, number: usize) error{StaleHandle}!*KernelPipe {
        if (number >= pipes.slots.len or pipes.slots[number].ends == null) return error.StaleHandle;
        return &pipes.slots[number];
    }

    /// What the pipe still holds is lost.
    pub fn close(pipes: *KernelPipes, number: usize) void {
        const ends = pipes.slots[number].ends orelse return;
        system.close(ends.input);
        system.close(ends.output);
        pipes.slots[number] = .{};
    }
};
