/* refuse.h - how a module's init says why it refuses. */
#ifndef PLUGIN_REFUSE_H
#define PLUGIN_REFUSE_H

#include <stdarg.h>
#include <stdio.h>

#include "catlatch_module.h"

/* Writes the message and returns E_CONFIG. */
__attribute__((format(printf, 2, 3))) static inline int refuse(const struct catlatch_setup *setup,
                                                               const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(setup->message, setup->message_size, format, arguments);
    va_end(arguments);
    return CATLATCH_E_CONFIG;
}

static inline int refuse_memory(const struct catlatch_setup *setup)
{
    refuse(setup, "out of memory");
    return CATLATCH_E_MEMORY;
}

#endif
