/* Threads that help with the tasks of a kernel, in place of OpenMP's: whoever calls a kernel never waits for a thread that has not come
 * yet, so a busy machine costs no more than the help that fails to come; several callers share the same helpers; and no compiler
 * lacks it. POSIX threads and GCC's or Clang's atomics are all it takes.
 *
 *   share(task, job, tasks, threads)  task(job, i) for all i of 0 .. tasks, on so many threads, the caller's included
 *
 * Each thread does its own lot of the tasks, the same one every time, since what it works on is in its cache; then it helps the others
 * with theirs. A helper that has nothing to do looks out for a while, which bridges the gap between two kernels; then, giving way to other
 * processes, for a while more, which bridges that between two frames of a small model; and falls asleep.
 */
#ifndef POCKETTTS_POOL_H
#define POCKETTTS_POOL_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#define MOST_THREADS 64
#define LOOKOUT 100000 /* nanoseconds in which a helper does nothing but look out for work, */
#define GIVING_WAY 1000000 /* and in which it goes on, while nobody else wants its core */

/* How many threads the calling thread's kernels use, if that is not for the process to say: it shares the cores with other callers. */
static __thread const int *own_team = 0;

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE()
#endif

typedef void (*Task)(const void *job, long i);

typedef struct { /* tasks next .. end, in a cache line of their own */
    long next, end;
    char apart[64 - 2 * sizeof(long)];
} Lot;

typedef struct Work {
    Task task;
    const void *job;
    int threads;
    int64_t patience; /* of who has helped: for how long to look out for more */
    int places;       /* for helpers that may still join; under the lock, as `following` */
    int helping;      /* helpers at work; atomic */
    struct Work *following;
    Lot lots[MOST_THREADS];
} Work;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    Work *open;   /* what helpers may join */
    int places;   /* in all of it; atomic */
    int helpers;  /* that there are, */
    int sleepers; /* of whom so many sleep, */
    int calls;    /* and so many are called, but not awake yet */
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, 0};

static void do_lots(Work *work, int own) {
    for (int i = 0; i < work->threads; i++) {
        Lot *lot = &work->lots[(own + i) % work->threads];
        long task;
        while ((task = __atomic_fetch_add(&lot->next, 1, __ATOMIC_RELAXED)) < lot->end) work->task(work->job, task);
    }
}

static Work *join_some(void) { /* with the lock */
    for (Work *work = pool.open; work; work = work->following)
        if (work->places) {
            work->places--;
            __atomic_sub_fetch(&pool.places, 1, __ATOMIC_RELAXED);
            __atomic_add_fetch(&work->helping, 1, __ATOMIC_RELAXED);
            return work;
        }
    return 0;
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static Work *look_out(int64_t patience) {
    for (;;) {
        const int64_t start = nanoseconds();
        for (int64_t waited = 0; waited < patience; waited = nanoseconds() - start) {
            if (waited > LOOKOUT) sched_yield();
            for (int i = 0; i < 32; i++) {
                PAUSE();
                if (__atomic_load_n(&pool.places, __ATOMIC_RELAXED)) {
                    pthread_mutex_lock(&pool.lock);
                    Work *work = join_some();
                    pthread_mutex_unlock(&pool.lock);
                    if (work) return work;
                }
            }
        }
        pthread_mutex_lock(&pool.lock);
        Work *work = join_some();
        if (!work) {
            pool.sleepers++;
            while (!pool.calls) pthread_cond_wait(&pool.wake, &pool.lock);
            pool.calls--;
        }
        pthread_mutex_unlock(&pool.lock);
        if (work) return work;
    }
}

static void *help(void *number) {
    int64_t patience = LOOKOUT;
    for (;;) {
        Work *work = look_out(patience);
        patience = work->patience;
        do_lots(work, 1 + (int)(intptr_t)number % (work->threads - 1)); /* the caller's own is 0 */
        __atomic_sub_fetch(&work->helping, 1, __ATOMIC_RELEASE);
    }
    return 0;
}

static void after_fork(void) { /* of all threads a child has only the one that made it */
    pthread_mutex_init(&pool.lock, 0);
    pthread_cond_init(&pool.wake, 0);
    pool.open = 0;
    pool.places = pool.helpers = pool.sleepers = pool.calls = 0;
}

static int hire(void) { /* one more helper, with the lock; 0: the system has none to give */
    static int prepared;
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    if (!prepared) prepared = 1, pthread_atfork(0, 0, after_fork);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's own threads */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20); /* of which a task has half; some systems give less */
    const int hired = !pthread_create(&thread, &attributes, help, (void *)(intptr_t)pool.helpers);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, 0);
    if (hired) pthread_detach(thread), pool.helpers++;
    return hired;
}

static void share(Task task, const void *job, long tasks, int threads) {
    if (threads > tasks) threads = tasks;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads < 2) {
        for (long i = 0; i < tasks; i++) task(job, i);
        return;
    }
    Work work;
    work.task = task, work.job = job, work.threads = threads, work.places = threads - 1, work.helping = 0;
    work.patience = own_team ? LOOKOUT : LOOKOUT + GIVING_WAY; /* where cores are shared, others need that of a helper */
    for (int i = 0; i < threads; i++) work.lots[i].next = tasks * i / threads, work.lots[i].end = tasks * (i + 1) / threads;

    pthread_mutex_lock(&pool.lock);
    while (pool.helpers < threads - 1 && hire()) {}
    work.following = pool.open;
    pool.open = &work;
    __atomic_add_fetch(&pool.places, work.places, __ATOMIC_RELAXED);
    int called = pool.sleepers < work.places ? pool.sleepers : work.places;
    pool.sleepers -= called;
    pool.calls += called;
    pthread_mutex_unlock(&pool.lock);
    while (called--) pthread_cond_signal(&pool.wake);

    do_lots(&work, 0);

    pthread_mutex_lock(&pool.lock); /* who has not come by now is not needed any more */
    Work **at = &pool.open;
    while (*at != &work) at = &(*at)->following;
    *at = work.following;
    __atomic_sub_fetch(&pool.places, work.places, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; __atomic_load_n(&work.helping, __ATOMIC_ACQUIRE); i++) { /* and who is at it is about to end */
        if (i < 1000)
            PAUSE();
        else
            sched_yield();
    }
}

#endif
