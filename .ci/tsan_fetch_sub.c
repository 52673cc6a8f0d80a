// Linked into the programs of the tsan step, in front of the sanitizer's own function.
//
// `Arc` gives its count back by a fetch_sub that releases, and the last one acquires by a fence.
// ThreadSanitizer knows no fences, so it reports whatever the last one then frees. Here every
// fetch_sub that releases acquires as well, which is what the fence makes of the last one. What
// that hides is such a fence that is missing; the loom models look for those.
#include <stdint.h>

enum { relaxed, consume, acquire, release, acq_rel, seq_cst };

int64_t __real___tsan_atomic64_fetch_sub(volatile int64_t *word, int64_t by, int order);

int64_t __wrap___tsan_atomic64_fetch_sub(volatile int64_t *word, int64_t by, int order) {
    return __real___tsan_atomic64_fetch_sub(word, by, order == release ? acq_rel : order);
}
