#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Five times a second is as often as anybody reads. */
#define EACH_MS 200

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, const char *what, bool quiet)
{
    *progress = (struct progress){.what = what, .shown = !quiet && isatty(STDERR_FILENO) == 1};
}

void progress_show(struct progress *progress, const char *format, ...)
{
    char text[128];
    va_list arguments;

    if (!progress->shown || now_ms() < progress->next_ms)
        return;
    progress->next_ms = now_ms() + EACH_MS;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int len = fprintf(stderr, "\r%s: %s", progress->what, text);
    unsigned width = len > 1 ? (unsigned)len - 1 : 0;
    for (unsigned i = width; i < progress->width; i++)
        fputc(' ', stderr);
    progress->width = width;
}

void progress_end(struct progress *progress)
{
    if (progress->width > 0)
        fprintf(stderr, "\r%*s\r", (int)progress->width, "");
    progress->width = 0;
    progress->shown = false;
}
