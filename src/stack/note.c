#include "stack/note.h"

#include <string.h>

#include "usage/record.h"

/* NULL: it is not to be kept, was not told, or is no address. */
static const struct address *read_address(const struct stack_run *run, enum config_address record,
                                          struct address *room)
{
    const char *text = run->call.address;

    if (record == CONFIG_ADDRESS_OFF || text == NULL ||
        address_parse((struct text){text, (uint32_t)strlen(text)}, room) != 0)
        return NULL;
    if (record == CONFIG_ADDRESS_PREFIX)
        *room = address_prefix(room);
    return room;
}

static bool is_refusal(enum catlatch_result result)
{
    switch (result) {
    case CATLATCH_MALFORMED:
    case CATLATCH_NOT_FOUND:
    case CATLATCH_REVOKED:
    case CATLATCH_DISABLED:
    case CATLATCH_EXPIRED:
    case CATLATCH_NOT_YET_VALID:
    case CATLATCH_WRONG_ENVIRONMENT:
    case CATLATCH_INSUFFICIENT_SCOPE:
    case CATLATCH_IP_NOT_ALLOWED:
    case CATLATCH_DENIED:
    case CATLATCH_USAGE_EXCEEDED:
    case CATLATCH_RATE_LIMITED:
        return true;
    case CATLATCH_INVALID_REQUEST:
    case CATLATCH_MISSING:
    case CATLATCH_UNAVAILABLE:
    case CATLATCH_VALID:
        break;
    }
    return false;
}

void stack_note(const struct stack_run *run, enum catlatch_result result,
                enum config_address record, int64_t now_unix_s)
{
    struct usage_record *noted =
        run->usage != NULL ? usage_record_at(run->usage, run->has.record) : NULL;
    struct address address;
    uint64_t seen;

    if (noted == NULL || (result != CATLATCH_VALID && !is_refusal(result)))
        return;
    struct usage_words words = result == CATLATCH_VALID ? usage_uses(noted) : usage_refusals(noted);
    /* Once a second; a text takes longer to read than all the rest. */
    if (usage_is_due(words, now_unix_s, &seen))
        usage_store_last(words, seen, now_unix_s, read_address(run, record, &address));
    usage_count(run->usage, run->has.record, words);
}
