# Shared by the sanitizer steps; sourced after lib.sh.

target=x86_64-unknown-linux-gnu

# Sets `toolchain` (and RUSTC_BOOTSTRAP) to a compiler that has the runtime of sanitizer $1.
choose_toolchain() {
    local runtime
    [ "$(uname -m)" = x86_64 ] || skip "the sanitizer steps are written for x86-64"
    for toolchain in +nightly ""; do
        # shellcheck disable=SC2086
        runtime=$(rustc $toolchain --print sysroot 2>/dev/null)/lib/rustlib/$target/lib
        if ls "$runtime"/librustc-*_rt."$1".a >/dev/null 2>&1; then
            # Only the stable compiler needs to be told that -Z is meant.
            [ -n "$toolchain" ] || export RUSTC_BOOTSTRAP=1
            # shellcheck disable=SC2086
            rustc $toolchain --version
            return
        fi
    done
    skip "no toolchain here has the runtime of the ${2} sanitizer"
}

# Whether the toolchain can build std itself; asks rustup for its source if it may.
have_std_source() {
    local source
    # shellcheck disable=SC2086
    source=$(rustc $toolchain --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock
    if [ ! -f "$source" ] && [ -n "$toolchain" ] && [ "${GTHREAD_CI_INSTALL:-1}" = 1 ]; then
        timeout 120 rustup component add rust-src --toolchain "${toolchain#+}" >/dev/null 2>&1 || true
    fi
    [ -f "$source" ]
}

# sanitized <name> <flags as a TOML list> <cargo arguments>...
sanitized() {
    local name=$1 flags=$2
    shift 2
    # shellcheck disable=SC2086
    cargo $toolchain --config ".config/$name.toml" \
        --config "target.$target.rustflags = $flags" "$@"
}
