#include "rivals.h"

#include <err.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "statistics.h"

/* Windows of some ten to hundreds of microseconds: both processes run through most of them, however
 * busy the machine is. */
#define TIMES_PER_WINDOW 2000u
#define WINDOWS 100u

/* Shared with the process that is at it beside this one. */
struct rival {
    pid_t pid;
    _Atomic unsigned *times; /* that it did it, so that it is known to be at it */
};

static void beat(const struct rivals *rivals)
{
    if (rivals->beat != NULL)
        rivals->beat(rivals->context);
}

static struct rival start_rival(const struct rivals *rivals, bool is_other)
{
    struct rival rival;
    beat(rivals);
    rival.times =
        mmap(NULL, sizeof *rival.times, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rival.times == MAP_FAILED || (rival.pid = fork()) < 0)
        err(EX_OSERR, "a second process");
    if (rival.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (rivals->begin != NULL)
            rivals->begin(rivals->context);
        for (unsigned times = 1;; times++) {
            rivals->work(rivals->context, is_other);
            if (times % 16 == 0)
                atomic_store_explicit(rival.times, times, memory_order_relaxed);
        }
    }
    while (atomic_load(rival.times) == 0) {
        if (waitpid(rival.pid, NULL, WNOHANG) != 0)
            errx(EX_SOFTWARE, "the second process ended before it was at it");
        beat(rivals);
        usleep(100);
    }
    return rival;
}

static void end_rival(struct rival rival)
{
    kill(rival.pid, SIGKILL);
    waitpid(rival.pid, NULL, 0);
    munmap(rival.times, sizeof *rival.times);
}

/* Millions in a second that both together make, while both have a processor: the median of short
 * windows in which the other was at it too. */
static double together_rate(const struct rivals *rivals, bool is_other)
{
    static double rates[WINDOWS];
    struct rival rival = start_rival(rivals, is_other);
    unsigned found = 0;

    for (unsigned window = 0; found < WINDOWS && window < 100 * WINDOWS; window++) {
        beat(rivals);
        unsigned others = atomic_load(rival.times);
        uint64_t begin = now_ns();
        for (unsigned n = 0; n < TIMES_PER_WINDOW; n++)
            rivals->work(rivals->context, false);
        double ns = (double)(now_ns() - begin);
        others = atomic_load(rival.times) - others;
        if (others >= TIMES_PER_WINDOW / 4 && others <= 4 * TIMES_PER_WINDOW)
            rates[found++] = (TIMES_PER_WINDOW + others) * 1e3 / ns;
    }
    end_rival(rival);
    return found > 0 ? median(rates, found) : 0;
}

void rivals_measure(const struct rivals *rivals, unsigned rounds)
{
    static double rates[2][ROUNDS_MAX]; /* on two keys, on one */

    for (unsigned round = 0; round < rounds; round++)
        for (unsigned same = 0; same < 2; same++)
            rates[same][round] = together_rate(rivals, same == 0);
    double apart = median(rates[0], rounds), one = median(rates[1], rounds);
    if (apart > 0)
        printf("  two processes, %-19s %7.1f M/s on two keys, %.1f M/s on one: %.0f %%\n",
               rivals->what, apart, one, 100 * one / apart);
    else
        printf("  two processes, %-19s never ran at once here\n", rivals->what);
    fflush(stdout);
}
