/* How many threads a kernel uses, around what OpenMP does: one budget for all callers, fewer threads while the others come late, and
 * processes that fork.
 *
 *   const int threads = region_begin(work);
 *   if (threads == 1) ... without a region ...
 *   else { ... a parallel region of so many threads ...; region_end(); }
 *
 * Every calling thread has a team of its own in OpenMP. Teams together have no more helpers than the process may use, since a helper
 * without a core makes its whole team wait; who finds none left works alone. A thread keeps its helpers until team_release.
 *
 * A region waits for its slowest thread. On a core that another process keeps busy, a helper gets its turn some milliseconds late, and the
 * region waits that long. So regions are timed: one that takes much longer than its work usually does is late, and for a while the regions
 * after it use one thread less. If the next try is late again at once, the while is doubled.
 */
#ifndef POCKETTTS_THREADS_H
#define POCKETTTS_THREADS_H

#include <pthread.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#define HAVE_OPENMP 1
#else
#define HAVE_OPENMP 0
#endif

#define MAX_THREADS 64
#define SMALL_WORK (1 << 17) /* below some 3 us a kernel runs without a region */
#define LATE 0.0003          /* a region is late if it takes these seconds more than 4 times as long as its work usually does; */
#define HOLD 2               /* then fewer threads are used for so many times what it took, */
#define SOON 4               /* and for twice as long as before if that much time had not passed since the last try, */
#define LONGEST_HOLD 0.5     /* at most so many seconds */

typedef struct {
    int size;          /* threads wanted */
    int missing;       /* of these, threads that are not used for now */
    double pace;       /* usual seconds of a region for a unit of work; 0: not known yet */
    double hold;       /* seconds from a late region to the next try with one thread more */
    double next_try, last_try; /* when they are */
    double begun, work; /* of the present region */
} TeamState;

static int process_threads = 1;             /* for threads without a number of their own; and the budget */
static int helpers_taken = 0;               /* by all teams; atomic */
static __thread const int *own_threads = 0; /* how many threads the calling thread's kernels use; NULL: process_threads */
static __thread int helpers = 0;            /* of the calling thread's team */
static __thread TeamState team = {0, 0, 0, 0, 0, 0, 0, 0};
static pthread_key_t team_key;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

/* Threads that the calling thread wants. */
static int team_size(void) {
    const int n = own_threads ? *own_threads : process_threads;
    return !HAVE_OPENMP || n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

/* Threads that the calling thread gets, itself included. */
static int team_grant(void) {
    const int wanted = team_size() - 1;
    if (wanted == 0) return 1;
    if (wanted < helpers) { /* OpenMP ends the others when the smaller team is opened */
        __atomic_sub_fetch(&helpers_taken, helpers - wanted, __ATOMIC_RELAXED);
        helpers = wanted;
    } else if (wanted > helpers) {
        int taken = __atomic_load_n(&helpers_taken, __ATOMIC_RELAXED), more;
        do {
            more = process_threads - 1 - taken;
            more = more < wanted - helpers ? more : wanted - helpers;
        } while (more > 0 && !__atomic_compare_exchange_n(&helpers_taken, &taken, taken + more, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        if (more > 0) helpers += more, pthread_setspecific(team_key, &helpers);
    }
    return 1 + helpers;
}

/* --- late regions --- */

/* Threads for a region that begins at `now`, of a team of `size`; 1: no region. */
static int team_begin(TeamState *t, int size, double work, double now) {
    if (size != t->size) {
        const TeamState fresh = {size, 0, 0, 0, 0, 0, 0, 0};
        *t = fresh;
    }
    if (t->missing && now >= t->next_try) {
        t->missing--;
        t->last_try = now, t->next_try = now + t->hold;
    }
    t->begun = now, t->work = work;
    return size - t->missing;
}

/* The region is over. */
static void team_end(TeamState *t, double now) {
    const double seconds = now - t->begun, pace = seconds / t->work;
    if (t->pace && seconds > LATE + 4 * t->pace * t->work) {
        t->hold = now - t->last_try < SOON * seconds ? 2 * t->hold : HOLD * seconds;
        if (t->hold < HOLD * seconds) t->hold = HOLD * seconds;
        if (t->hold > LONGEST_HOLD) t->hold = LONGEST_HOLD;
        t->next_try = now + t->hold;
        if (t->missing < t->size - 1) t->missing++;
    } else { /* a mean that follows fast regions at once and slow ones slowly */
        t->pace += (pace - t->pace) * (!t->pace ? 1 : pace < t->pace ? 0.5 : 0.02);
    }
}

/* --- around a region --- */

/* Threads for a kernel of so much work; more than 1: open a region of so many, then call region_end. */
static int region_begin(long work) {
    const int size = work < SMALL_WORK ? 1 : team_grant();
    return size < 2 ? 1 : team_begin(&team, size, work, seconds_now());
}

static void region_end(void) { team_end(&team, seconds_now()); }

/* Inside a region: wait until every thread has finished its part of the loop before. (In Cython, a loop inside a region may end without
 * waiting.) */
static inline void barrier(void) {
#ifdef _OPENMP
#pragma omp barrier
#endif
}

/* --- the end of a team --- */

/* The calling thread's helpers end, and others may have as many. libgomp cannot do without: it spins no more while all its teams have more
 * threads than there are cores, and a process forked from a thread with a team waits for threads that are not there. LLVM's libomp shares
 * its threads among teams, and renews them after a fork. */
static void team_release(void) {
#if defined(_OPENMP) && !defined(__clang__) && __GNUC__ >= 9
    if (helpers) omp_pause_resource_all(omp_pause_soft);
#endif
    __atomic_sub_fetch(&helpers_taken, helpers, __ATOMIC_RELAXED);
    helpers = 0;
}

static void thread_ended(void *its_helpers) { __atomic_sub_fetch(&helpers_taken, *(int *)its_helpers, __ATOMIC_RELAXED); }
static void child_begins(void) { helpers_taken = 0; } /* other threads do not exist in it */

/* To be called once, when the module is loaded. */
static void init_threads(void) {
    pthread_key_create(&team_key, thread_ended);
    pthread_atfork(team_release, 0, child_begins);
}

#endif
