//! `zig build` makes the core's shared library; `zig build abi` writes zig-out/abi.ts; `zig build test`
//! runs the core's own tests and compares the declarations of OpenSSL with its headers; `zig build check`
//! type-checks the core and its tests for every system it supports.

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

    const core = module(b, "library.zig", target, optimize, .native);
    core.strip = !(b.option(bool, "symbols", "Keep the library's symbols and debug information") orelse false);
    core.stack_check = false; // its function is a part of Zig's runtime, which is not linked
    const build_id = b.option([]const u8, "build-id", "The id by which debuggers find the symbols, in hexadecimal digits");
    if (target.result.ofmt == .macho) {
        // Zig's linker for macOS has no list of exports. LLVM's links the object: see scripts/mach_o_link.ts.
        const object = b.addObject(.{ .name = "plait", .root_module = core });
        object.bundle_compiler_rt = false;
        b.getInstallStep().dependOn(&b.addInstallFile(object.getEmittedBin(), "lib/plait.o").step);
    } else {
        openssl.link(core);
        const library = b.addLibrary(.{ .name = "plait", .linkage = .dynamic, .root_module = core });
        if (build_id) |digits| {
            library.build_id = std.zig.BuildId.parse(b.fmt("0x{s}", .{digits})) catch @panic("the build id is not hexadecimal");
        }
        // Zig's runtime has a memset and a memcpy, which would take the place of the C library's faster ones.
        library.bundle_compiler_rt = false;
        // OpenSSL's thousands of symbols must not meet those of Bun's own copy.
        library.setVersionScript(b.path("library.map"));
        b.installArtifact(library);
    }

    const generator = b.addExecutable(.{
        .name = "generate-abi",
        .root_module = module(b, "generate_abi.zig", b.graph.host, .Debug, .native),
    });
    const run_generator = b.addRunArtifact(generator);
    const generated = run_generator.captureStdOut(.{});
    b.step("abi", "Write the ABI as TypeScript to zig-out/abi.ts").dependOn(
        &b.addInstallFile(generated, "abi.ts").step,
    );

    const filters = b.option([]const []const u8, "test-filter", "Run only the tests whose names contain this") orelse &.{};
    const tests = b.addTest(.{
        .root_module = module(b, "tests.zig", target, optimize, .faulty),
        .filters = filters,
    });
    openssl.link(tests.root_module);
    const test_step = b.step("test", "Run the core's tests");
    test_step.dependOn(&b.addRunArtifact(tests).step);
    if (openssl.include) |folder| {
        const compared = opensslCheck(b, target, folder);
        test_step.dependOn(compared);
        b.step("check-openssl", "Compare the declarations of OpenSSL with its headers").dependOn(compared);
    } else if (openssl.ssl != null) {
        std.log.warn("without -Dopenssl-include the declarations of OpenSSL are not checked", .{});
    }

    const check = b.step("check", "Type-check the core for every system");
    for (checked_targets) |triple| {
        const query = std.Target.Query.parse(.{ .arch_os_abi = triple }) catch unreachable;
        const checked = b.addLibrary(.{
            .name = "plait-check",
            .linkage = .static,
            .root_module = module(b, "library.zig", b.resolveTargetQuery(query), .ReleaseSafe, .native),
        });
        // Nothing is installed, so the compiler stops after the semantic analysis.
        check.dependOn(&checked.step);
        const checked_tests = module(b, "tests.zig", b.resolveTargetQuery(query), .ReleaseSafe, .faulty);
        check.dependOn(&b.addTest(.{ .root_module = checked_tests }).step);
    }
}

/// Compiles what holds `tls/openssl.zig` against OpenSSL's headers.
fn opensslCheck(b: *std.Build, target: std.Build.ResolvedTarget, include: []const u8) *std.Build.Step {
    const generator_module = module(b, "tls/openssl_headers_test.zig", b.graph.host, .Debug, .native);
    // Debug information would refer to the functions, which are not linked here.
    generator_module.strip = true;
    const generator = b.addExecutable(.{ .name = "openssl-check", .root_module = generator_module });
    const check = b.createModule(.{ .target = target, .optimize = .Debug, .link_libc = true });
    check.addSystemIncludePath(.{ .cwd_relative = include });
    check.addCSourceFile(.{
        .file = b.addRunArtifact(generator).captureStdOut(.{ .basename = "openssl_check.cpp" }),
        .flags = &.{ "-std=c++17", "-Wno-deprecated-declarations" },
    });
    return &b.addObject(.{ .name = "openssl-check", .root_module = check }).step;
}

/// The archives to link, by path; without them the system's are looked for.
const Openssl = struct {
    include: ?[]const u8,
    ssl: ?[]const u8,
    crypto: ?[]const u8,
    needs: []const []const u8,

    fn options(b: *std.Build) Openssl {
        return .{
            .include = b.option([]const u8, "openssl-include", "The folder of the headers of OpenSSL"),
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

/// The kernel under the core (`os/kernel.zig`).
const Kernel = enum { native, faulty };

fn module(
    b: *std.Build,
    root: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    kernel: Kernel,
) *std.Build.Module {
    const options = b.addOptions();
    options.addOption(Kernel, "kernel", kernel);
    const created = b.createModule(.{
        .root_source_file = b.path(root),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
    });
    created.addOptions("build_options", options);
    return created;
}
