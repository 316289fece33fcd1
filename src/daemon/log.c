#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Paths and an error's 512 bytes fit; a longer line is cut. */
#define LOG_LINE_MAX 2048u

static bool to_journal;
static const char *program = "catlatchd";

void log_name(const char *name)
{
    program = name;
}

void log_start(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    to_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                 fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
                 status.st_ino == inode;
}

void log_line(int priority, const char *format, ...)
{
    char text[LOG_LINE_MAX], line[LOG_LINE_MAX + 32];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);

    int len = to_journal ? snprintf(line, sizeof line, "<%d>%s: %s\n", priority, program, text)
                         : snprintf(line, sizeof line, "%s: %s\n", program, text);
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        return; /* nowhere is left to say it */
}
