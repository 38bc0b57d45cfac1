// The threads that work, which are PyTorch's.
#pragma once
#include <stdint.h>

namespace {

// PyTorch's own OpenMP pool, by the entry points of GNU's runtime, which LLVM's and Intel's have too: a second pool would
// spin against it. Without one there is one thread.
struct {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*me)();
    int (*team)();
} pool;

// f(me, team) on each of at most `threads` threads.
template <class F> void on_threads(int64_t threads, F f) {
    if (threads <= 1 || !pool.parallel) return f(0, 1);
    pool.parallel([](void* f) { (*(F*)f)(pool.me(), pool.team()); }, &f, (unsigned)threads, 0);
}

}  // namespace
