// Which threads a job is for: none but the caller's, the helpers of thread_pool.h, or those of PyTorch.
#pragma once
#include <stdint.h>

#include <algorithm>
#include <atomic>

#include "thread_pool.h"

namespace {

constexpr double ALONE_NS = 15000;          // of one thread's time: done sooner than it is shared out
constexpr double CHUNK_NS = 8000;           // what is taken at once
constexpr int64_t PROMPT_ROWS = 16;         // from here on PyTorch computes on several threads between two jobs,
constexpr int64_t OPENMP_ELEMENTS = 32768;  // and from a tensor of this size on

// PyTorch's OpenMP pool, through the entry points of GNU's runtime, which LLVM's and Intel's have too. In a prompt PyTorch
// computes on it between two jobs, after which its threads spin for milliseconds: helpers would have to share the cores with
// them. In decoding PyTorch has nothing that is large enough for it.
struct {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);  // GOMP_parallel
    int (*thread_num)();                                           // omp_get_thread_num
} openmp;

// GNU's runtime would wait for ever, in a child process, for the threads that only its parent has.
inline void forget_openmp() { openmp.parallel = nullptr; }
const int openmp_fork_is_handled = pthread_atfork(nullptr, nullptr, forget_openmp);

// Whether PyTorch computes on its threads before and after a job of so many rows, the widest of so many elements.
inline bool is_prompt(int64_t rows, int64_t width) { return rows >= PROMPT_ROWS || rows * width >= OPENMP_ELEMENTS; }

// How long one thread would take, and whether the job is part of a prompt (or a load): who works depends on them.
struct Cost {
    double ns;
    bool on_openmp;
};

// f(task, thread) for each of `tasks`, shared out among at most `max_threads` threads.
template <class F> void parallel_for(int64_t max_threads, int64_t tasks, Cost cost, F f) {
    if (max_threads <= 1 || tasks <= 1 || cost.ns < ALONE_NS) {
        for (int64_t task = 0; task < tasks; task++) f(task, 0);
        return;
    }
    const int64_t smallest = (int64_t)(tasks * CHUNK_NS / cost.ns);  // tasks
    const int64_t size = std::max<int64_t>(1, std::min(smallest, tasks / (4 * max_threads)));
    const int64_t chunks = (tasks + size - 1) / size;
    const auto run_chunk_of_tasks = [&](int64_t chunk, int64_t thread) {
        for (int64_t task = chunk * size; task < std::min(tasks, (chunk + 1) * size); task++) f(task, thread);
    };
    if (!openmp.parallel || !cost.on_openmp)
        return share_chunks(max_threads, chunks, run_chunk_of_tasks);
    std::atomic<int64_t> next{0};
    const auto run = [&](int64_t thread) {
        for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;)
            run_chunk_of_tasks(chunk, thread);
    };
    typedef decltype(run) Run;
    const auto call = [](void* p) { (*(Run*)p)(openmp.thread_num()); };
    openmp.parallel(call, (void*)&run, (unsigned)max_threads, 0);
}

}  // namespace
