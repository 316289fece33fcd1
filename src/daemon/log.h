/*
 * log.h - one line each to stderr, for people: never a key, never a request's arguments.
 *
 * Lines begin with "catlatchd: ", or another program's name. Where stderr is a stream of the
 * journal ($JOURNAL_STREAM names it) "<priority>" stands before, as sd-daemon(3) has it. Any
 * thread; a line is one write.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <syslog.h>

#include "core/error.h"

/* Looks once whether stderr is the journal's. Before the first thread. */
void log_start(void);

/* Whose lines they are; a text that stays. Before the first line. */
void log_name(const char *name);

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO of syslog.h. */
void log_line(int priority, const char *format, ...) CATLATCH_PRINTF(2, 3);

#endif
