//! `zig build` makes the core's shared library; `zig build abi` writes zig-out/abi.ts; `zig build test`
//! runs the core's own tests; `zig build check` type-checks the core and its tests for every system it
//! supports.

const std = @import("std");

/// Systems that the core is type-checked for besides the one it is built on.
const checked_targets = [_][]const u8{
    "aarch64-macos",
    "x86_64-freebsd",
    "aarch64-linux-gnu",
    "x86_64-linux-musl",
};

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{ .default_target = .{ .cpu_model = .baseline } });
    const optimize = b.standardOptimizeOption(.{});
    const openssl: Openssl = .options(b);

    const library = b.addLibrary(.{
        .name = "plait",
        .linkage = .dynamic,
        .root_module = module(b, "library.zig", target, optimize),
    });
    openssl.link(library.root_module);
    // OpenSSL's thousands of symbols must not meet those of Bun's own copy.
    if (target.result.ofmt == .elf) library.setVersionScript(b.path("library.map"));
    b.installArtifact(library);

    const generator = b.addExecutable(.{
        .name = "generate-abi",
        .root_module = module(b, "generate_abi.zig", b.graph.host, .Debug),
    });
    const run_generator = b.addRunArtifact(generator);
    const generated = run_generator.captureStdOut(.{});
    b.step("abi", "Write the ABI as TypeScript to zig-out/abi.ts").dependOn(
        &b.addInstallFile(generated, "abi.ts").step,
    );

    const filters = b.option([]const []const u8, "test-filter", "Run only the tests whose names contain this") orelse &.{};
    const tests = b.addTest(.{
        .root_module = module(b, "tests.zig", target, optimize),
        .filters = filters,
    });
    openssl.link(tests.root_module);
    b.step("test", "Run the core's tests").dependOn(&b.addRunArtifact(tests).step);

    const check = b.step("check", "Type-check the core for every system");
    for (checked_targets) |triple| {
        const query = std.Target.Query.parse(.{ .arch_os_abi = triple }) catch unreachable;
        const checked = b.addLibrary(.{
            .name = "plait-check",
            .linkage = .static,
            .root_module = module(b, "library.zig", b.resolveTargetQuery(query), .ReleaseSafe),
        });
        // Nothing is installed, so the compiler stops after the semantic analysis.
        check.dependOn(&checked.step);
        const checked_tests = module(b, "tests.zig", b.resolveTargetQuery(query), .ReleaseSafe);
        check.dependOn(&b.addTest(.{ .root_module = checked_tests }).step);
    }
}

/// The archives to link, by path; without them the system's are looked for.
const Openssl = struct {
    ssl: ?[]const u8,
    crypto: ?[]const u8,
    needs: []const []const u8,

    fn options(b: *std.Build) Openssl {
        return .{
            .ssl = b.option([]const u8, "openssl-ssl", "The archive libssl.a to link"),
            .crypto = b.option([]const u8, "openssl-crypto", "The archive libcrypto.a to link"),
            .needs = b.option([]const []const u8, "openssl-needs", "Further libraries that these two need") orelse &.{},
        };
    }

    fn link(openssl: Openssl, into: *std.Build.Module) void {
        for ([_]?[]const u8{ openssl.ssl, openssl.crypto }, [_][]const u8{ "ssl", "crypto" }) |archive, name| {
            if (archive) |path| {
                into.addObjectFile(.{ .cwd_relative = path });
            } else {
                into.linkSystemLibrary(name, .{ .preferred_link_mode = .static });
            }
        }
        for (openssl.needs) |name| into.linkSystemLibrary(name, .{});
    }
};

fn module(
    b: *std.Build,
    root: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
) *std.Build.Module {
    return b.createModule(.{
        .root_source_file = b.path(root),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .strip = optimize == .ReleaseFast,
    });
}
