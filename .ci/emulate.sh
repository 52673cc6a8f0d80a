#!/usr/bin/env bash
# emulate.sh <aarch64 program> <arguments>...: runs it under qemu, and what it starts too.
#
# A program that starts itself again needs the kernel to know the emulator. binfmt_misc belongs to
# the user namespace (Linux 6.7), so it is registered in one that ends with the program; where
# that is refused, the program runs without.

set -u
if [ "${1:-}" = --inside ]; then
    shift
    elf='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null \
        && echo ":qemu-aarch64:M::$elf:$mask:$(command -v qemu-aarch64):F" \
            >/proc/sys/fs/binfmt_misc/register
    exec qemu-aarch64 "$@"
fi
if unshare --user --map-root-user --mount true 2>/dev/null; then
    exec unshare --user --map-root-user --mount bash "$0" --inside "$@"
fi
exec qemu-aarch64 "$@"
