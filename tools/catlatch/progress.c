#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 24

#define DRAW_EVERY_MS 100

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_begin(const char *what, const char *unit, uint64_t total,
                    struct progress *ret_progress)
{
    *ret_progress = (struct progress){.what = what,
                                      .unit = unit,
                                      .total = total,
                                      .shown = isatty(STDERR_FILENO) == 1,
                                      .began_ms = now_ms()};
}

static void draw(const struct progress *progress, uint64_t done, uint64_t elapsed_ms)
{
    char bar[BAR_WIDTH + 1];
    uint64_t share = progress->total > 0 ? done * 100 / progress->total : 0;
    uint64_t rate = elapsed_ms > 0 ? done * 1000 / elapsed_ms : 0;

    for (unsigned i = 0; i < BAR_WIDTH; i++)
        bar[i] = share * BAR_WIDTH / 100 > i ? '#' : '-';
    bar[BAR_WIDTH] = '\0';
    if (progress->total > 0)
        fprintf(stderr, "\r%s [%s] %3" PRIu64 "%% ", progress->what, bar, share);
    else
        fprintf(stderr, "\r%s ", progress->what);
    fprintf(stderr, "%" PRIu64 " %s, %" PRIu64 "/s\033[K", done, progress->unit, rate);
    fflush(stderr);
}

void progress_show(struct progress *progress, uint64_t done)
{
    uint64_t now;

    if (!progress->shown)
        return;
    now = now_ms();
    if (progress->drawn && now - progress->drawn_ms < DRAW_EVERY_MS)
        return;
    draw(progress, done, now - progress->began_ms);
    progress->drawn = true;
    progress->drawn_ms = now;
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
