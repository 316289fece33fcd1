/* Any bytes in any pieces: the reader stays within what it was given, tells only of what is there,
 * and says of a piece nothing that the whole takes back. The first two bytes are the piece's size.
 */
#include <stdlib.h>

#include "../../plugin/reply.h"

static void check_text(struct text text, const char *bytes, size_t len)
{
    if (text.bytes == NULL)
        return;
    if (text.bytes < bytes || text.bytes + text.len > bytes + len ||
        !text_is_printable_utf8(text.bytes, text.len))
        abort();
}

static enum reply_status read_and_check(const char *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    struct reply reply;

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    enum reply_status status = reply_read(copy, len, &reply);
    if (status == REPLY_WHOLE) {
        check_text(reply.id, copy, len);
        check_text(reply.name, copy, len);
        check_text(reply.owner, copy, len);
        check_text(reply.environment, copy, len);
        for (size_t i = 0; i < reply.scope_count; i++)
            check_text(reply.scopes[i], copy, len);
    }
    free(copy);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size - 2 > REPLY_BYTES_MAX)
        return 0;
    const char *bytes = (const char *)data + 2;
    size_t len = size - 2, piece = (data[0] | (size_t)data[1] << 8) % (len + 1);
    enum reply_status whole = read_and_check(bytes, len);
    enum reply_status part = read_and_check(bytes, piece);

    if (piece < len && part == REPLY_WHOLE && whole != REPLY_BROKEN)
        abort();
    if ((part == REPLY_BROKEN || part == REPLY_REFUSED) && whole != part)
        abort();
    return 0;
}
