// Threads that help and are not waited for.
//
// The caller and the helpers take chunks of a job from one counter, each as it comes. A helper that the system gives no core
// takes none, and the caller does them all: it waits only for chunks that a helper has begun. An OpenMP barrier waits for
// every thread of the team, which on a busy machine takes a time slice of the scheduler for each linear.
#pragma once
#include <immintrin.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace {

constexpr int MAX_HELPERS = 255;
constexpr int64_t HELPER_SPIN_NS = 100000;  // between two jobs of a forward pass, then a helper sleeps
constexpr int64_t CALLER_SPIN_NS = 20000;   // about a chunk, then the caller sleeps, and the helper may have its core
constexpr int COUNT_BITS = 24;              // of a ticket; a job has fewer chunks

typedef void (*Task)(void* context, int64_t chunk, int64_t thread);

// One job at a time. All of it lives as long as the process and is atomic, since a helper may look at it at any time. The
// ticket counts down the chunks that nobody has taken. A helper that sees 0 reads no further. Otherwise it reads the job, then
// takes a chunk by exchanging the ticket that it saw. Where that succeeds the job was unfinished all the while, so that what
// was read belongs to it and its context exists: the next job is written only when each chunk taken is done.
struct ThreadPool {
    alignas(64) std::atomic<uint64_t> ticket{0};  // the job's number, then in COUNT_BITS the chunks that are left
    std::atomic<Task> task{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<int64_t> chunks{0}, threads{0};  // threads: how many may take part, the caller among them
    alignas(64) std::atomic<uint32_t> done{0};   // chunks; the caller sleeps on it
    std::atomic<uint32_t> caller_sleeps{0};
    alignas(64) std::atomic<uint32_t> jobs{0};  // so far; helpers sleep on it
    std::atomic<uint32_t> sleepers{0};
    alignas(64) std::atomic<bool> busy{false};  // guards `helpers` and the beginning of a job
    int helpers = 0;
    std::atomic<int64_t> delay_ns{0};  // for tests: what threads wait where others may overtake them
};
ThreadPool pool;

inline int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

inline void sleep_while(std::atomic<uint32_t>& word, uint32_t value) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

inline void wake(std::atomic<uint32_t>& word, int threads) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

// Whether `ready()` became true within `ns`.
template <class F> inline bool spin(int64_t ns, F ready) {
    const int64_t end = now_ns() + ns;
    do {
        for (int i = 0; i < 16; i++) {
            if (ready()) return true;
            _mm_pause();
        }
    } while (now_ns() < end);
    return ready();
}

inline void delay() {
    if (const int64_t ns = pool.delay_ns.load(std::memory_order_relaxed)) spin(ns, [] { return false; });
}

// Takes a chunk of the job that runs and computes it as `thread`; whether there was one.
inline bool run_chunk(int64_t thread) {
    uint64_t ticket = pool.ticket.load(std::memory_order_acquire);
    for (;;) {
        if (thread) delay();
        const int64_t left = ticket & ((1 << COUNT_BITS) - 1);
        if (left == 0) return false;
        const Task task = pool.task.load(std::memory_order_relaxed);
        void* const context = pool.context.load(std::memory_order_relaxed);
        const int64_t index = pool.chunks.load(std::memory_order_relaxed) - left;
        if (thread >= pool.threads.load(std::memory_order_relaxed)) return false;
        if (!pool.ticket.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire))
            continue;
        if (thread) delay();
        task(context, index, thread);
        return true;
    }
}

inline void* helper_main(void* number) {
    const int64_t thread = (intptr_t)number;
    for (;;) {
        const uint32_t seen = pool.jobs.load(std::memory_order_seq_cst);
        while (run_chunk(thread)) {
            pool.done.fetch_add(1, std::memory_order_seq_cst);
            if (pool.caller_sleeps.load(std::memory_order_seq_cst)) wake(pool.done, 1);
        }
        if (spin(HELPER_SPIN_NS, [&] { return pool.jobs.load(std::memory_order_relaxed) != seen; })) continue;
        pool.sleepers.fetch_add(1, std::memory_order_seq_cst);
        sleep_while(pool.jobs, seen);
        pool.sleepers.fetch_sub(1, std::memory_order_seq_cst);
    }
    return nullptr;
}

// A child process has no helpers, whatever another thread of its parent was computing.
inline void forget_helpers() {
    pool.helpers = 0;
    pool.ticket = pool.ticket >> COUNT_BITS << COUNT_BITS;
    pool.sleepers = pool.caller_sleeps = 0;
    pool.busy = false;
}
const int fork_is_handled = pthread_atfork(nullptr, nullptr, forget_helpers);  // 0 where it is

// Starts helpers until there are `count`, or as many as the system allows. They take no signals, which are Python's.
inline void start_helpers(int count) {
    if (pool.helpers >= count) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.helpers < count) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, helper_main, (void*)(intptr_t)(pool.helpers + 1))) break;
        pthread_detach(thread);
        pthread_setname_np(thread, "gptq-helper");
        pool.helpers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// f(chunk, thread) for each of `chunks`, by at most `threads`. Where another caller has the pool, this one works alone.
template <class F> void share_chunks(int64_t threads, int64_t chunks, F f) {
    if (threads <= 1 || chunks <= 1 || chunks >> COUNT_BITS || pool.busy.exchange(true, std::memory_order_acquire)) {
        for (int64_t chunk = 0; chunk < chunks; chunk++) f(chunk, 0);
        return;
    }
    threads = std::min<int64_t>(threads, MAX_HELPERS + 1);
    start_helpers((int)threads - 1);
    pool.task.store([](void* p, int64_t chunk, int64_t thread) { (*(F*)p)(chunk, thread); }, std::memory_order_relaxed);
    pool.context.store(&f, std::memory_order_relaxed);
    pool.chunks.store(chunks, std::memory_order_relaxed);
    pool.threads.store(threads, std::memory_order_relaxed);
    pool.done.store(0, std::memory_order_relaxed);
    delay();
    const uint64_t number = (pool.ticket.load(std::memory_order_relaxed) >> COUNT_BITS) + 1;
    pool.ticket.store(number << COUNT_BITS | (uint64_t)chunks, std::memory_order_release);
    pool.jobs.fetch_add(1, std::memory_order_seq_cst);
    // Which of several sleepers wake is the system's choice, and those above `threads` would be of no use.
    const int wanted = pool.helpers < threads ? (int)std::min(threads, chunks) - 1 : INT_MAX;
    if (pool.sleepers.load(std::memory_order_seq_cst)) wake(pool.jobs, wanted);
    uint32_t own = 0;
    while (run_chunk(0)) own++;
    pool.done.fetch_add(own, std::memory_order_seq_cst);
    const auto all_done = [&] { return pool.done.load(std::memory_order_acquire) == chunks; };
    if (!spin(CALLER_SPIN_NS, all_done)) {
        pool.caller_sleeps.store(1, std::memory_order_seq_cst);
        for (uint32_t done; (done = pool.done.load(std::memory_order_seq_cst)) != chunks;) sleep_while(pool.done, done);
        pool.caller_sleeps.store(0, std::memory_order_seq_cst);
    }
    pool.busy.store(false, std::memory_order_release);
}

}  // namespace
