//! Writes a C++ file to standard output that compiles only if `openssl.zig` agrees with OpenSSL's headers: each
//! prototype, by the rules below, and each number. `zig build test` compiles it.

const std = @import("std");
const openssl = @import("openssl.zig");

const headers = [_][]const u8{
    "bio",  "crypto", "err",    "evp",  "pem",      "pemerr", "pkcs12",
    "rand", "ssl",    "sslerr", "tls1", "x509_vfy", "x509v3",
};

/// Two pointers agree if what they point to agrees, and neither side writes to what the other one declares as
/// `const`. All other types must be the same.
const rules =
    \\struct bytes;
    \\template <class Zig, class C> struct same { static constexpr bool value = false; };
    \\template <class T> struct same<T, T> { static constexpr bool value = true; };
    \\template <> struct same<bytes, char> { static constexpr bool value = true; };
    \\template <> struct same<bytes, unsigned char> { static constexpr bool value = true; };
    \\template <> struct same<bytes, void> { static constexpr bool value = true; };
    \\template <> struct same<OPENSSL_STACK, STACK_OF(X509)> { static constexpr bool value = true; };
    \\template <> struct same<OPENSSL_STACK, STACK_OF(X509_NAME)> { static constexpr bool value = true; };
    \\template <class T> struct plain { using type = T; static constexpr bool is_const = false; };
    \\template <class T> struct plain<const T> { using type = T; static constexpr bool is_const = true; };
    \\template <class Writer, class Owner> constexpr bool may_write = plain<Writer>::is_const || !plain<Owner>::is_const;
    \\// What Zig hands to C, and what it gets from C.
    \\template <class Zig, class C> struct given : same<Zig, C> {};
    \\template <class Zig, class C> struct got : same<Zig, C> {};
    \\template <class Zig, class C> struct given<Zig *, C *> {
    \\  static constexpr bool value = may_write<C, Zig> && given<typename plain<Zig>::type, typename plain<C>::type>::value;
    \\};
    \\template <class Zig, class C> struct got<Zig *, C *> {
    \\  static constexpr bool value = may_write<Zig, C> && got<typename plain<Zig>::type, typename plain<C>::type>::value;
    \\};
    \\template <class ZigR, class... Zig, class R, class... C> struct given<ZigR (*)(Zig...), R (*)(C...)> {
    \\  static constexpr bool value = given<ZigR, R>::value && (got<Zig, C>::value && ...);
    \\};
    \\template <class Zig, class C> struct agree;
    \\template <class ZigR, class... Zig, class R, class... C> struct agree<ZigR(Zig...), R(C...)> {
    \\  static_assert(sizeof...(Zig) == sizeof...(C), "the number of parameters");
    \\  static constexpr bool value = got<ZigR, R>::value && (given<Zig, C>::value && ...);
    \\};
    \\template <class ZigR, class... Zig, class R, class... C> struct agree<ZigR(Zig..., ...), R(C..., ...)> : agree<ZigR(Zig...), R(C...)> {};
    \\
;

const text = blk: {
    @setEvalBranchQuota(1_000_000);
    var out: []const u8 = "";
    for (headers) |name| out = out ++ "#include <openssl/" ++ name ++ ".h>\n";
    out = out ++ rules;
    for (@typeInfo(openssl).@"struct".decls) |declaration| {
        const name = declaration.name;
        switch (@typeInfo(@TypeOf(@field(openssl, name)))) {
            .@"fn" => |function| if (function.calling_convention.eql(.c)) {
                out = out ++ "static_assert(agree<" ++ functionType(function, "") ++ ", decltype(" ++ name ++ ")>::value, \"" ++ name ++ "\");\n";
            },
            .int, .comptime_int => {
                out = out ++ std.fmt.comptimePrint("static_assert({s} == {d}, \"{s}\");\n", .{ name, @field(openssl, name), name });
            },
            else => {},
        }
    }
    break :blk out;
};

fn functionType(comptime function: std.builtin.Type.Fn, comptime declarator: []const u8) []const u8 {
    var out: []const u8 = typeText(function.return_type.?) ++ declarator ++ "(";
    for (function.params, 0..) |parameter, index| {
        if (index > 0) out = out ++ ", ";
        out = out ++ typeText(parameter.type.?);
    }
    return out ++ (if (function.is_var_args) ", ...)" else ")");
}

fn typeText(comptime Type: type) []const u8 {
    return switch (Type) {
        void => "void",
        c_int => "int",
        c_uint => "unsigned int",
        c_long => "long",
        c_ulong => "unsigned long",
        u8 => "uint8_t",
        u16 => "uint16_t",
        u64 => "uint64_t",
        usize => "size_t",
        else => switch (@typeInfo(Type)) {
            .optional => |optional| typeText(optional.child),
            .pointer => |pointer| switch (@typeInfo(pointer.child)) {
                .@"fn" => |function| functionType(function, "(*)"),
                else => pointeeText(pointer.child) ++ (if (pointer.is_const) " const *" else " *"),
            },
            else => @compileError("no type of C is chosen for " ++ @typeName(Type)),
        },
    };
}

fn pointeeText(comptime Type: type) []const u8 {
    return switch (Type) {
        u8 => "bytes",
        anyopaque => "void",
        else => switch (@typeInfo(Type)) {
            .@"opaque" => @typeName(Type)["openssl.".len..],
            else => typeText(Type),
        },
    };
}

pub fn main() void {
    var written: usize = 0;
    while (written < text.len) {
        const count = std.c.write(1, text.ptr + written, text.len - written);
        if (count <= 0) std.process.exit(1);
        written += @intCast(count);
    }
}
