#include "change.h"

#include <stdlib.h>

#include "catlatch.h"
#include "core/key.h"
#include "receipt.h"

typedef char id_text[CATLATCH_ID_SIZE];

static int words_fill(const char *verb, const uint64_t *ids, size_t count, id_text *texts,
                      const struct session_words *extra, struct session_words *request,
                      struct error *error)
{
    int code = session_word(request, verb, error);

    for (size_t i = 0; code == 0 && i < count; i++) {
        key_id_format(ids[i], texts[i]);
        code = session_word(request, texts[i], error);
    }
    for (size_t i = 0; code == 0 && extra != NULL && i < extra->count; i++)
        code = session_word_n(request, extra->words[i], extra->lens[i], error);
    return code;
}

int change_chunk(struct session *session, const char *verb, const uint64_t *ids, size_t count,
                 const struct session_words *extra, json_t **ret_receipt, struct error *error)
{
    struct session_words request = {0};
    id_text *texts = calloc(count, sizeof *texts);
    int code;

    if (texts == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    code = words_fill(verb, ids, count, texts, extra, &request, error);
    if (code == 0)
        code = session_ask(session, &request, ret_receipt, error);
    session_words_free(&request);
    free(texts);
    return code;
}

int change_apply(struct session *session, const char *verb, const uint64_t *ids, size_t count,
                 const struct session_words *extra, json_t **ret_receipt, struct error *error)
{
    json_t *joined = NULL;
    size_t done = 0;
    int code = 0;

    while (code == 0 && done < count) {
        size_t chunk = count - done < CHANGE_CHUNK_MAX ? count - done : CHANGE_CHUNK_MAX;
        json_t *receipt = NULL;
        code = change_chunk(session, verb, ids + done, chunk, extra, &receipt, error);
        if (code == 0)
            code = receipt_join(&joined, receipt, error);
        if (code == 0)
            done += chunk;
    }
    if (code != 0 && done > 0)
        error_prefix(error, "%zu of %zu keys are done, the others are not: run it again after this",
                     done, count);
    *ret_receipt = joined;
    return code;
}
