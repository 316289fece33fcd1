/*
 * resp.h - requests as they come in: arrays of bulk strings and inline lines, told apart and cut up
 * where they lie. No copy, no system call, no clock; the only memory is the list of arguments,
 * which grows as arguments arrive and never ahead of them, so that a length that was only claimed
 * costs nothing.
 *
 * The bytes belong to the caller, who keeps them in one piece until the request was handled and may
 * move them between calls. They are changed: quotes and escapes of an inline line are resolved in
 * place, and every argument is followed by a NUL where its terminator stood.
 *
 * Not thread-safe; one parser for each connection.
 */
#ifndef DAEMON_RESP_H
#define DAEMON_RESP_H

#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/* PROTOCOL.md states these limits. An argument list of 10,000 ids and its options fits. */
#define RESP_ARGUMENTS_MAX 16384u
#define RESP_ARGUMENT_BYTES_MAX 65536u
#define RESP_REQUEST_BYTES_MAX 1048576u
#define RESP_INLINE_BYTES_MAX 65536u
#define RESP_LENGTH_DIGITS_MAX 10u

/* As many arguments as an ordinary request has: only longer ones allocate. */
#define RESP_SPANS_FEW 16u

struct resp_span {
    uint32_t start; /* from the first byte of the request */
    uint32_t len;
};

enum resp_progress { RESP_BEGIN, RESP_IN_LINE, RESP_IN_ARRAY, RESP_COMPLETE, RESP_BROKEN };

struct resp_parser {
    enum resp_progress progress;
    uint32_t position; /* bytes of the request that need not be looked at again */
    uint32_t expected; /* arguments that the array announced */
    uint32_t count;    /* arguments that are there */
    uint32_t capacity;
    struct resp_span *spans; /* `few`, or allocated */
    struct resp_span few[RESP_SPANS_FEW];
    const char *problem; /* of RESP_INVALID; static */
};

struct resp_request {
    const char *bytes;
    const struct resp_span *spans;
    size_t count; /* 0: an empty line or array, which has no answer */
    size_t size;  /* bytes that it takes up */
};

enum resp_status {
    RESP_MORE,    /* not whole yet */
    RESP_REQUEST, /* *ret_request is set */
    RESP_INVALID, /* parser->problem says why; nothing after it can be understood */
};

void resp_init(struct resp_parser *parser);
void resp_free(struct resp_parser *parser);

/* Looks at the len bytes of which the first is the request's first. Asked again without resp_next
 * it gives the same answer, which is how a request waits for its turn. */
enum resp_status resp_parse(struct resp_parser *parser, char *bytes, size_t len,
                            struct resp_request *ret_request);

/* Done with the request: what follows it is the next one. */
void resp_next(struct resp_parser *parser);

/* Terminated by a NUL, which is not counted. */
static inline struct text resp_argument(const struct resp_request *request, size_t i)
{
    const struct resp_span *span = &request->spans[i];
    return (struct text){.bytes = request->bytes + span->start, .len = span->len};
}

#endif
