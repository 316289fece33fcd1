#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Not in sysexits.h: there was no such key, or its state forbids the change. */
#define EXIT_REFUSED 1

/* Ends before a UTF-8 sequence that the cut may have split. */
static void cut_at_character(char *text, size_t len)
{
    while (len > 0 && ((unsigned char)text[len - 1] & 0xC0) == 0x80)
        len--;
    if (len > 0 && (unsigned char)text[len - 1] >= 0xC0)
        len--;
    text[len] = '\0';
}

/* The second set of control characters (C1), of two bytes in UTF-8: a new line and the start of
 * terminal sequences are among them. */
static bool is_c1(const unsigned char *text)
{
    return text[0] == 0xC2 && text[1] >= 0x80 && text[1] < 0xA0;
}

/* What was read from outside may be quoted in an error: keep it one line, and harmless on a
 * terminal and in a log. */
static void blank_controls(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (is_c1(at)) {
            at[0] = at[1] = '?';
            at++;
        } else if (*at < 0x20 || *at == 0x7F) {
            *at = '?';
        }
    }
}

/* Composes apart from the error, because arguments may point into the text that it has. */
CATLATCH_PRINTF(3, 0)
static void compose(struct error *error, int code, const char *format, va_list arguments,
                    const char *separator, const char *rest)
{
    char text[sizeof error->text];
    int len = vsnprintf(text, sizeof text, format, arguments);

    if (len < 0) {
        text[0] = '\0';
        len = 0;
    }
    if (separator != NULL && (size_t)len < sizeof text) {
        int more = snprintf(text + len, sizeof text - (size_t)len, "%s%s", separator, rest);
        len = more < 0 ? len : len + more;
    }
    if ((size_t)len >= sizeof text && (unsigned char)text[sizeof text - 2] >= 0x80)
        cut_at_character(text, sizeof text - 1);
    blank_controls(text);
    memcpy(error->text, text, sizeof text);
    error->code = code;
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        compose(error, code, format, arguments, NULL, NULL);
        va_end(arguments);
    }
    return code;
}

int error_prefix(struct error *error, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return CATLATCH_E_ARGUMENT;
    va_start(arguments, format);
    compose(error, error->code, format, arguments, ": ", error->text);
    va_end(arguments);
    return error->code;
}

static int errno_code(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
        return CATLATCH_E_PERMISSION;
    case ENOMEM:
        return CATLATCH_E_MEMORY;
    case ENOSPC:
    case EDQUOT:
        return CATLATCH_E_FULL;
    case ENOENT:
        return CATLATCH_E_NOT_FOUND;
    default:
        return CATLATCH_E_IO;
    }
}

int error_errno(struct error *error, int errnum, const char *format, ...)
{
    int code = errno_code(errnum);

    if (error != NULL) {
        char buffer[128];
        va_list arguments;
        va_start(arguments, format);
        compose(error, code, format, arguments, ": ", strerror_r(errnum, buffer, sizeof buffer));
        va_end(arguments);
    }
    return code;
}

int error_exit_status(int code)
{
    if (code == 0)
        return EX_OK;
    switch ((enum catlatch_error)code) {
    case CATLATCH_E_NOT_FOUND:
    case CATLATCH_E_CONFLICT:
        return EXIT_REFUSED;
    case CATLATCH_E_ARGUMENT:
        return EX_USAGE;
    case CATLATCH_E_DATA:
    case CATLATCH_E_VERSION:
    case CATLATCH_E_LIMIT:
        return EX_DATAERR;
    case CATLATCH_E_UNAVAILABLE:
        return EX_UNAVAILABLE;
    case CATLATCH_E_MEMORY:
        return EX_OSERR;
    case CATLATCH_E_IO:
    case CATLATCH_E_FULL:
        return EX_IOERR;
    case CATLATCH_E_PERMISSION:
        return EX_NOPERM;
    case CATLATCH_E_CONFIG:
        return EX_CONFIG;
    }
    return EX_SOFTWARE;
}

const char *error_meaning(int code)
{
    if (code == 0)
        return "success";
    switch ((enum catlatch_error)code) {
    case CATLATCH_E_MEMORY:
        return "out of memory";
    case CATLATCH_E_ARGUMENT:
        return "the call makes no sense";
    case CATLATCH_E_CONFIG:
        return "the configuration is not acceptable";
    case CATLATCH_E_PERMISSION:
        return "not allowed, or unsafe owner or mode";
    case CATLATCH_E_IO:
        return "a file or socket failed";
    case CATLATCH_E_DATA:
        return "the data is not what it should be";
    case CATLATCH_E_NOT_FOUND:
        return "no such thing";
    case CATLATCH_E_CONFLICT:
        return "it changed meanwhile, or its state forbids this";
    case CATLATCH_E_UNAVAILABLE:
        return "cannot be had at present";
    case CATLATCH_E_FULL:
        return "no room left";
    case CATLATCH_E_VERSION:
        return "written by a newer version";
    case CATLATCH_E_LIMIT:
        return "a bound that the policy sets would be passed";
    }
    return "unknown error";
}
