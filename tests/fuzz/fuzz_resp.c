/* Any bytes in any pieces: the parser stays within what it was given, and says the same of them
 * whole and cut up. The first byte is the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/resp.h"

/* What was understood, as a sum: order and bounds of all words of all requests. */
static uint64_t mix(uint64_t sum, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return sum * 31 + len;
}

/* Handed over in exactly sized memory, so that a read past the end is seen. */
static uint64_t parse_in_pieces(const char *bytes, size_t len, size_t piece)
{
    struct resp_parser parser;
    struct resp_request request;
    enum resp_status status = RESP_MORE;
    size_t held_len = 0, at = 0;
    char *held = NULL;
    uint64_t sum = 0;

    resp_init(&parser);
    while (at < len && status != RESP_INVALID) {
        size_t more = len - at < piece ? len - at : piece;
        char *grown = malloc(held_len + more);
        if (!grown)
            abort();
        if (held_len > 0)
            memcpy(grown, held, held_len);
        memcpy(grown + held_len, bytes + at, more);
        free(held);
        held = grown;
        held_len += more;
        at += more;
        while ((status = resp_parse(&parser, held, held_len, &request)) == RESP_REQUEST) {
            sum = sum * 31 + request.count;
            for (size_t i = 0; i < request.count; i++) {
                struct text word = resp_argument(&request, i);
                if (word.bytes[word.len] != '\0')
                    abort();
                sum = mix(sum, word.bytes, word.len);
            }
            if (request.size == 0 || request.size > held_len)
                abort();
            held_len -= request.size;
            memmove(held, held + request.size, held_len);
            resp_next(&parser);
        }
    }
    resp_free(&parser);
    free(held);
    return sum * 2 + (status == RESP_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, piece = data[0] ? data[0] : 1;

    if (parse_in_pieces(bytes, len, len) != parse_in_pieces(bytes, len, piece))
        abort();
    return 0;
}
