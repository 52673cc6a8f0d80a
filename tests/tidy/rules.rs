//! The rules, as data. A new exception is a new row here, with its reason.

/// A module and what it may import: names of modules, or paths below one.
pub(crate) struct Layer {
    pub(crate) module: &'static str,
    pub(crate) may_import: &'static [&'static str],
}

const fn layer(module: &'static str, may_import: &'static [&'static str]) -> Layer {
    Layer { module, may_import }
}

/// The modules from the bottom up. Dependencies run one way: a row may name only rows above it;
/// [`UPWARD`] lists the exceptions.
pub(crate) const LAYERS: &[Layer] = &[
    layer("sys", &[]),
    layer("primitive", &["sys"]),
    layer("arch", &["sys", "primitive"]),
    layer("collections", &["primitive"]),
    layer("stack", &["sys", "primitive", "collections"]),
    layer("own_tls", &["sys", "arch", "primitive", "collections"]),
    layer("alloc", &["sys", "primitive", "collections", "own_tls"]),
    layer("timer", &["sys", "primitive", "collections"]),
    layer("green", &["sys", "arch", "primitive", "collections", "stack", "own_tls"]),
    layer("netpoll", &["sys", "primitive", "collections", "own_tls", "green"]),
    layer(
        "processor",
        &["sys", "arch", "primitive", "collections", "stack", "own_tls", "green", "timer"],
    ),
    layer(
        "machine",
        &[
            "sys",
            "arch",
            "primitive",
            "collections",
            "stack",
            "own_tls",
            "green",
            "timer",
            "processor",
        ],
    ),
    layer(
        "sched",
        &[
            "sys",
            "arch",
            "primitive",
            "collections",
            "stack",
            "own_tls",
            "alloc",
            "green",
            "timer",
            "netpoll",
            "processor",
            "machine",
        ],
    ),
    layer("sync", &["sys", "primitive", "collections", "green", "sched"]),
    layer("channel", &["sys", "primitive", "collections", "green", "sched", "sync"]),
    layer("time", &["sys", "primitive", "green", "sched"]),
    layer("net", &["sys", "primitive", "collections", "green", "netpoll", "sched", "time"]),
    layer("fs", &["sys", "primitive", "sched"]),
    layer(
        "inspect",
        &[
            "sys",
            "primitive",
            "collections",
            "stack",
            "green",
            "timer",
            "netpoll",
            "processor",
            "machine",
            "sched",
        ],
    ),
    layer(
        "runtime",
        &[
            "sys",
            "arch",
            "primitive",
            "collections",
            "stack",
            "own_tls",
            "alloc",
            "green",
            "timer",
            "netpoll",
            "processor",
            "machine",
            "sched",
            "sync",
            "channel",
            "time",
            "net",
            "inspect",
        ],
    ),
    layer(
        "interpose",
        &["sys", "primitive", "own_tls", "sched", "sync", "net", "time", "fs", "runtime"],
    ),
];

/// Imports against the order: the file or directory, the path it may import, and why.
pub(crate) const UPWARD: &[(&str, &str, &str)] = &[
    ("src/sys/", "primitive::atomic", "a futex word is an atomic, and loom's has another size"),
    ("src/sys/", "primitive::abort", "a kernel that breaks its word leaves nothing to return"),
    ("src/net/copy.rs", "runtime::scope", "the two directions of a relay are two threads"),
    ("src/net/copy.rs", "runtime::Builder", "as above; when there is none, that is an error"),
];

/// Lines a file in `src` may have.
pub(crate) const FILE_LINES_MAX: usize = 500;
/// Lines a function in `src` may have, from its `fn` to its closing brace.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
/// How deep `if`, `match`, `for`, `while` and `loop` may nest.
pub(crate) const NESTING_MAX: usize = 3;

/// Names that stay in their modules: the name, the files or directories that may use it, and why
/// it is confined.
pub(crate) const CONFINED: &[(&str, &[&str], &str)] = &[
    (
        "libc::",
        &["src/sys/", "src/own_tls/", "src/arch/", "src/primitive/abort.rs"],
        "the kernel and glibc are reached through sys; own_tls rebuilds what glibc builds",
    ),
    (
        "thread_local!",
        &["src/primitive/", "src/alloc/word.rs", "src/sched/wait_stand_in.rs"],
        "one file knows who runs; one whose cache it is; one what a model has waited for",
    ),
    (
        "asm!",
        &[
            "src/arch/",
            "src/primitive/fence.rs",
            "src/alloc/branch.rs",
            "src/alloc/word.rs",
            "src/sys/valgrind.rs",
        ],
        "assembly is argued where it stands",
    ),
    ("naked_asm!", &["src/arch/", "src/own_tls/interposed/"], "assembly is argued where it stands"),
    (
        "global_asm!",
        &["src/alloc/word.rs"],
        "two versions of the crate must link together: a symbol carries the version",
    ),
    ("std::sync::atomic", &["src/primitive/"], "models replace the atomics"),
    ("core::sync::atomic", &[], "models replace the atomics"),
    (
        "std::cell::UnsafeCell",
        &["src/primitive/", "src/green/stage.rs"],
        "models see every access; the stage is raw memory that the join word guards",
    ),
    (
        "loom::",
        &["src/primitive/", "src/processor/deque.rs", "src/sched/wait_stand_in.rs"],
        "the façade knows loom, and the stand-ins for what does not",
    ),
    ("corosensei::", &["src/arch/"], "one backend among others"),
    ("crossbeam_deque::", &["src/processor/", "src/sched/"], "pins an epoch: machine's side only"),
    ("static mut", &[], "there is no sound use of it"),
    (
        "transmute",
        &["src/sys/", "src/stack/overflow.rs", "src/own_tls/", "src/arch/", "src/interpose/"],
        "function pointers by name only",
    ),
];

/// Words the house does not use for its own things; they may not be part of an identifier.
pub(crate) const BANNED_WORDS: &[&str] =
    &["task", "fiber", "fibre", "coroutine", "worker", "gp", "mp", "pp"];

/// Identifiers that contain such a word because they are somebody else's: a prefix of the
/// identifier, the files or directories, and whose it is.
pub(crate) const FOREIGN_IDENTIFIERS: &[(&str, &str, &str)] = &[
    ("Worker", "src/", "crossbeam_deque's type, and its stand-in under loom"),
    ("Coroutine", "src/arch/", "corosensei's type"),
    ("coroutine", "src/arch/corosensei.rs", "a value of corosensei's type"),
    ("__tsan_", "src/", "the sanitizer's interface"),
    ("__sanitizer_", "src/", "the sanitizer's interface"),
];

/// Phrases that stand where an argument should.
pub(crate) const EMPTY_PHRASES: &[&str] =
    &["should be safe", "obviously", "see above", "trivially safe", "this is fine"];
