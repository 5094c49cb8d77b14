/* Number of threads of a kernel. This adds to OpenMP: one budget for all callers, fewer threads while helpers are late, support for fork.
 *
 *   const int threads = region_begin(work);
 *   if (threads == 1) ... without a region ...
 *   else { ... a parallel region with that many threads ...; region_end(); }
 *
 * Every calling thread has its own team in OpenMP. A helper without a core makes its whole team wait, so all teams together have at most
 * as many helpers as the process may use. A caller that finds none left works alone. A thread keeps its helpers until team_release.
 *
 * A region waits for its slowest thread. If another process keeps a core busy, the helper on that core runs some milliseconds late, and
 * the region waits for it. So regions are timed. A region is late if it takes much longer than its work usually does; the regions after
 * it then use one thread less for some time. If the next try with one thread more is soon late again, that time doubles.
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
#define SMALL_WORK (1 << 17) /* kernels below this cost, about 3 us, run without a region */
#define LATE 0.0003          /* seconds; a region is late if it takes longer than 4 times its usual time + LATE */
#define HOLD 2               /* after a late region of s seconds, one thread less is used for HOLD * s seconds, */
#define SOON 4               /* or twice as long as last time if it came less than SOON * s seconds after the last try, */
#define LONGEST_HOLD 0.5     /* but at most for this many seconds */

typedef struct {
    int size;          /* threads wanted */
    int missing;       /* threads of these that are not used now, since helpers were late */
    double pace;       /* usual seconds per unit of work; 0: not known yet */
    double hold;       /* seconds from a late region to the next try with one thread more */
    double next_try, last_try; /* times of these tries */
    double begun, work; /* start time and cost of the current region */
} TeamState;

static int process_threads = 1;             /* default number of threads of a kernel, and the limit of all teams together */
static int helpers_taken = 0;               /* helpers of all teams; atomic */
static __thread const int *own_threads = 0; /* number of threads for kernels of the calling thread; NULL: process_threads */
static __thread int helpers = 0;            /* helpers of the calling thread's team */
static __thread TeamState team = {0, 0, 0, 0, 0, 0, 0, 0};
static pthread_key_t team_key;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

/* Number of threads that the calling thread asks for. */
static int team_size(void) {
    const int n = own_threads ? *own_threads : process_threads;
    return !HAVE_OPENMP || n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

/* Number of threads that the calling thread gets, including itself. */
static int team_grant(void) {
    const int wanted = team_size() - 1;
    if (wanted == 0) return 1;
    if (wanted < helpers) { /* OpenMP ends the other helpers when the smaller team starts */
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

/* Number of threads for a region that begins at `now`, of a team of `size`; 1: no region. */
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

/* End the region at `now`. */
static void team_end(TeamState *t, double now) {
    const double seconds = now - t->begun, pace = seconds / t->work;
    if (t->pace && seconds > LATE + 4 * t->pace * t->work) {
        t->hold = now - t->last_try < SOON * seconds ? 2 * t->hold : HOLD * seconds;
        if (t->hold < HOLD * seconds) t->hold = HOLD * seconds;
        if (t->hold > LONGEST_HOLD) t->hold = LONGEST_HOLD;
        t->next_try = now + t->hold;
        if (t->missing < t->size - 1) t->missing++;
    } else { /* a running mean that adapts fast to fast regions and slowly to slow ones */
        t->pace += (pace - t->pace) * (!t->pace ? 1 : pace < t->pace ? 0.5 : 0.02);
    }
}

/* --- begin and end of a region --- */

/* Number of threads for a kernel with this cost. If more than 1: open a region with that many, then call region_end. */
static int region_begin(long work) {
    const int size = work < SMALL_WORK ? 1 : team_grant();
    return size < 2 ? 1 : team_begin(&team, size, work, seconds_now());
}

static void region_end(void) { team_end(&team, seconds_now()); }

/* Inside a region: wait until all threads have finished the previous loop. (Cython may not wait at the end of a loop in a region.) */
static inline void barrier(void) {
#ifdef _OPENMP
#pragma omp barrier
#endif
}

/* --- end of a team --- */

/* End the calling thread's helpers, so that other callers can use as many. libgomp needs this: it stops spinning while all its teams
 * together have more threads than there are cores, and a process forked from a thread with a team waits for threads that do not exist.
 * LLVM's libomp shares its threads among teams and creates them again after a fork. */
static void team_release(void) {
#if defined(_OPENMP) && !defined(__clang__) && __GNUC__ >= 9
    if (helpers) omp_pause_resource_all(omp_pause_soft);
#endif
    __atomic_sub_fetch(&helpers_taken, helpers, __ATOMIC_RELAXED);
    helpers = 0;
}

static void thread_ended(void *its_helpers) { __atomic_sub_fetch(&helpers_taken, *(int *)its_helpers, __ATOMIC_RELAXED); }
static void child_begins(void) { helpers_taken = 0; } /* the child has no other threads */

/* Call once, when the module is loaded. */
static void init_threads(void) {
    pthread_key_create(&team_key, thread_ended);
    pthread_atfork(team_release, 0, child_begins);
}

#endif
