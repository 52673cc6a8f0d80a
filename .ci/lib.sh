# Shared by the steps in this directory; sourced, never run.
#
# A step ends with 0 (pass), 77 (skipped; the last `skipped: ` line says why)
# or anything else (fail). Every step can be run by hand: `bash .ci/<step>`.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Flags come from .config/*.toml and from the steps alone.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTDOCFLAGS GTHREAD_MUTANT GTHREAD_MAXPROCS
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 RUSTUP_AUTO_INSTALL=0
export RUST_BACKTRACE=${RUST_BACKTRACE:-1}

# Ends the step as skipped.
skip() {
    echo "skipped: $*"
    exit 77
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Whether packages may be installed: root on a Debian-like machine, not forbidden.
may_install() {
    [ "${GTHREAD_CI_INSTALL:-1}" = 1 ] && have apt-get && have dpkg && [ "$(id -u)" = 0 ]
}

# Prints the age in minutes of apt's package lists, or nothing if there are none.
lists_age() {
    local newest
    newest=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -printf '%T@\n' 2>/dev/null \
        | sort -rn | head -n 1)
    [ -z "$newest" ] || echo $((($(date +%s) - ${newest%.*}) / 60))
}

# Installs Debian packages if it may. Never fails: what is missing afterwards is the caller's
# to find out and to skip for.
debian_install() {
    may_install || return 0
    local age
    age=$(lists_age)
    if [ -z "$age" ] || [ "$age" -gt 1440 ]; then
        timeout 120 apt-get -q update >/dev/null 2>&1 || true
    fi
    DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -q -o DPkg::Lock::Timeout=120 install -y \
        --no-install-recommends "$@" >/dev/null 2>&1 || true
}

# The mirror that this machine's apt takes Debian from.
debian_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' \
        | grep -oE 'https?://[^ ]*/debian/?( |$)' | head -n 1 | tr -d ' '
}

# debian_fetch <directory> <suite> <architecture> <package>[=<version>]
#
# Unpacks a package of any Debian suite ("" for the machine's own) and architecture below
# <directory>. Package lists, and the architecture, exist only there: neither apt's nor dpkg's
# state is touched, and nothing is installed. Keeps what an earlier call has unpacked.
debian_fetch() {
    local directory=$1 suite=$2 architecture=$3 package=$4 options stamp
    stamp=$directory/.unpacked
    [ "$(cat "$stamp" 2>/dev/null)" != "$suite $architecture $package" ] || return 0
    have apt-get && have dpkg-deb || return 1
    rm -rf "$directory"
    mkdir -p "$directory/apt/lists/partial" "$directory/apt/cache"
    options=(-q -o "Dir::State::lists=$directory/apt/lists" -o "Dir::Cache=$directory/apt/cache"
        -o "APT::Architectures::=$architecture"
        -o "APT::Architectures::=$(dpkg --print-architecture)"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o APT::Sandbox::User=root)
    if [ -n "$suite" ]; then
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
            "$(debian_mirror) $suite main" >"$directory/apt/sources.list"
        options+=(-o "Dir::Etc::sourcelist=$directory/apt/sources.list" -o Dir::Etc::sourceparts=-)
    fi
    timeout 200 apt-get "${options[@]}" update >/dev/null 2>&1 || true
    (cd "$directory/apt" && timeout 200 apt-get "${options[@]}" download \
        "${package%%=*}:$architecture${package#"${package%%=*}"}" >/dev/null 2>&1) || return 1
    dpkg-deb -x "$directory"/apt/*.deb "$directory" || return 1
    rm -rf "$directory/apt"
    echo "$suite $architecture $package" >"$stamp"
}

# Makes a tool available: need <command> <package>...
need() {
    local tool=$1
    shift
    have "$tool" || debian_install "$@"
    have "$tool" || skip "no $tool, and it could not be installed"
}

# Cargo with the settings of .config/<name>.toml.
cargo_with() {
    local name=$1
    shift
    cargo --config ".config/$name.toml" "$@"
}

# The tests of tests/<name>.rs exist?
has_test() {
    [ -f "tests/$1.rs" ] || [ -f "tests/$1/main.rs" ]
}

has_example() {
    [ -f "examples/$1.rs" ] || [ -f "examples/$1/main.rs" ]
}
