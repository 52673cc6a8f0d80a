#!/usr/bin/env bash
# ThreadSanitizer over the scheduler and the data structures.
#
# ThreadSanitizer keeps its own state in thread-locals, so the thread pointer stays the machine's
# here and every green thread is announced as a fiber; own thread-locals are checked by the
# torture step instead.
#
# With the source of std at hand, std is built and instrumented too. With the prebuilt one,
# locks, channels and the last drop of an `Arc` are reported although they are right: then tests
# run one at a time and with tsan.supp.
. "$(dirname "$0")/lib.sh"
. .ci/sanitizer.sh

# Tests in the library (a prefix of their path is enough) and files in tests/ that run.
unit_tests='primitive:: collections:: timer:: stack:: green:: machine:: processor:: sched:: runtime::'
# Not yet the API suites: what they report lies in crossbeam-deque (see tsan.supp), and what comes
# after that has not been looked at.
files='sanitizer'
# Signals, address space and resident memory are the sanitizer's own business, and green threads
# share their machine's thread-locals here: nothing may wait while it unwinds.
unsuited='--skip stack::tests::crash --skip stack::tests::memory --skip own_tls::
    --skip whether_a_thread_panics --skip unwinding'

# With `GthreadAlloc` as the allocator of everything that is instrumented.
allocator_test='threads_exchange_blocks_by_atomics'

choose_toolchain tsan thread
# A handle that is forgotten on purpose is a thread that is never joined.
options="halt_on_error=1 second_deadlock_stack=1 report_thread_leaks=0 suppressions=$PWD/.ci/tsan.supp"
if have_std_source; then
    std=(-Zbuild-std)
    threads=$(nproc)
    flags='["-Zsanitizer=thread", "--cfg", "crossbeam_sanitize_thread"]'
    echo "std is instrumented"
else
    std=()
    threads=1
    flags='["-Zsanitizer=thread", "-Cunsafe-allow-abi-mismatch=sanitizer", "--cfg", "crossbeam_sanitize_thread"]'
    echo "std is not instrumented: its source is not installed"
fi
export TSAN_OPTIONS=$options

# shellcheck disable=SC2086
true
for file in ; do
    has_test "$file" || continue
    # shellcheck disable=SC2086
    sanitized tsan "$flags" "${std[@]}" test --release --test "$file" -- --test-threads="$threads" $unsuited
done
# shellcheck disable=SC2086
sanitized tsan "$flags" "${std[@]}" test --release --features test-allocator --test alloc -- "$allocator_test"
