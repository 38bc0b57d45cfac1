// The threads that work, which are PyTorch's.
#pragma once
#include <stdint.h>

namespace {

// PyTorch's own OpenMP pool, through the entry points of GNU's runtime, which LLVM's and Intel's have too: a second pool
// would spin against it. Without one there is one thread.
struct {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);  // GOMP_parallel
    int (*thread_num)();                                           // omp_get_thread_num
    int (*num_threads)();                                          // omp_get_num_threads
} openmp;

// f(task, thread) for each of `tasks`, shared out among at most `max_threads` threads.
template <class F> void parallel_for(int64_t max_threads, int64_t tasks, F f) {
    const auto run = [&](int64_t thread, int64_t threads) {
        for (int64_t task = tasks * thread / threads; task < tasks * (thread + 1) / threads; task++) f(task, thread);
    };
    if (max_threads <= 1 || !openmp.parallel) return run(0, 1);
    typedef decltype(run) Run;
    const auto call = [](void* p) { (*(Run*)p)(openmp.thread_num(), openmp.num_threads()); };
    openmp.parallel(call, (void*)&run, (unsigned)max_threads, 0);
}

}  // namespace
