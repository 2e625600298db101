//! The text of `src/core/abi.ts`, made at compile time by reflection.

const std = @import("std");
const abi = @import("abi.zig");
const indices = @import("../core/indices.zig");

/// Whose public functions are exported.
pub const exports = .{ @import("exports.zig"), @import("tls_exports.zig") };

/// What every exported symbol begins with.
pub const prefix = "plait_";

/// Changes with anything that crosses the boundary.
pub const number: u32 = hash: {
    @setEvalBranchQuota(10_000_000);
    break :hash std.hash.Fnv1a_32.hash(body) & 0x7fff_ffff;
};

pub const module = std.fmt.comptimePrint(
    \\// Generated from zig/boundary/abi.zig and the exports by `zig build abi`. Do not edit.
    \\
    \\/** Changes with anything below; the core reports the number that it was built with. */
    \\export const abiNumber = {d};
    \\
, .{number}) ++ body;

const body = blk: {
    @setEvalBranchQuota(1_000_000);
    break :blk enumeration("Status", abi.Status) ++
        enumeration("Direction", abi.Direction) ++
        enumeration("Endpoint", abi.Endpoint) ++
        enumeration("AddressFamily", abi.AddressFamily) ++
        enumeration("TlsText", abi.TlsText) ++
        constants("Ready", abi.Ready) ++
        constants("TlsNotices", abi.TlsNotices) ++
        constants("TlsProgress", abi.TlsProgress) ++
        constants("ListenFlags", abi.ListenFlags) ++
        constants("Limits", abi.Limits) ++
        layout() ++
        symbols();
};

fn enumeration(comptime name: []const u8, comptime Enum: type) []const u8 {
    var out: []const u8 = "\nexport const " ++ name ++ " = {\n";
    for (@typeInfo(Enum).@"enum".fields) |field| {
        out = out ++ std.fmt.comptimePrint("  {s}: {d},\n", .{ camelCase(field.name), field.value });
    }
    return out ++ "} as const;\n";
}

fn constants(comptime name: []const u8, comptime Container: type) []const u8 {
    var out: []const u8 = "\nexport const " ++ name ++ " = {\n";
    for (@typeInfo(Container).@"struct".decls) |declaration| {
        const value = @field(Container, declaration.name);
        out = out ++ std.fmt.comptimePrint("  {s}: {d},\n", .{ camelCase(declaration.name), value });
    }
    return out ++ "} as const;\n";
}

/// The fields of `Shared` as indices into the typed array of their type.
fn layout() []const u8 {
    var out: []const u8 =
        "\n/** Indices into the shared block, seen as an array of the type that each name ends in. */\n" ++
        "export const Shared = {\n" ++
        std.fmt.comptimePrint("  bytes: {d},\n", .{@sizeOf(abi.Shared)});
    for (@typeInfo(abi.Shared).@"struct".fields) |field| {
        const suffix, const unit = switch (field.type) {
            f64 => .{ "Float64", 8 },
            u32 => .{ "Uint32", 4 },
            else => .{ "Int32", 4 },
        };
        const offset = @offsetOf(abi.Shared, field.name);
        if (offset % unit != 0) @compileError("misaligned");
        out = out ++ std.fmt.comptimePrint("  {s}{s}: {d},\n", .{ camelCase(field.name), suffix, offset / unit });
    }
    return out ++ "} as const;\n";
}

fn symbols() []const u8 {
    var out: []const u8 =
        "\n/** The core's functions as `dlopen` of bun:ffi takes them. */\nexport const symbols = {\n" ++
        "  plait_abi: { args: [], returns: \"i32\" },\n";
    for (exports) |File| {
        for (@typeInfo(File).@"struct".decls) |declaration| {
            const function = @typeInfo(@TypeOf(@field(File, declaration.name))).@"fn";
            out = out ++ "  " ++ prefix ++ declaration.name ++ ": { args: [";
            for (function.params, 0..) |parameter, index| {
                if (index > 0) out = out ++ ", ";
                out = out ++ "\"" ++ ffiType(parameter.type.?) ++ "\"";
            }
            out = out ++ "], returns: \"" ++ ffiType(function.return_type.?) ++ "\" },\n";
        }
    }
    return out ++ "} as const;\n";
}

fn ffiType(comptime Type: type) []const u8 {
    return switch (Type) {
        i32 => "i32",
        u32 => "u32",
        f64 => "f64",
        void => "void",
        [*]u8, [*]const u8, [*]const f64 => "ptr",
        indices.SocketHandle, indices.ContextId => "i32",
        else => @compileError("no type of bun:ffi is chosen for " ++ @typeName(Type)),
    };
}

/// `snake_case` as `snakeCase`; names in capitals stay as they are.
fn camelCase(comptime name: []const u8) []const u8 {
    if (std.ascii.isUpper(name[0])) return name;
    var out: []const u8 = "";
    var raise = false;
    for (name) |character| {
        if (character == '_') {
            raise = true;
            continue;
        }
        out = out ++ &[_]u8{if (raise) std.ascii.toUpper(character) else character};
        raise = false;
    }
    return out;
}

test "names become those of TypeScript" {
    try std.testing.expectEqualStrings("wouldBlock", comptime camelCase("would_block"));
    try std.testing.expectEqualStrings("EAI_AGAIN", comptime camelCase("EAI_AGAIN"));
}
