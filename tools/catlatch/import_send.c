#include "import_send.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one request holds at most; PROTOCOL.md allows 16,384 words and 1 MiB, and 2,000 keys. The
 * daemon flushes for 1,000 at a time, which is what a revoke waits for, and sorts what a request
 * brings: in larger ones more of it lies on the same pages. */
#define BATCH_KEYS 1000u
#define BATCH_WORDS 16000u
#define BATCH_BYTES ((size_t)1000000)

#define HEAD_MAX ((size_t)256)

/* Requests on the way: enough that the daemon never waits for the next. It takes 4,096 keys at a
 * time of one connection. */
#define WINDOW 8u

struct batch {
    uint64_t offset; /* of its first frame */
    size_t count;
};

struct sender {
    struct import_sending *sending;
    struct import_reader reader;
    const struct import_frame *next; /* read, and not in a batch yet; NULL: the end */
    uint64_t next_offset;
    char *bytes;
    struct batch window[WINDOW];
    size_t first, waiting;
    uint64_t sent_keys;
};

static int advance(struct sender *sender, struct error *error)
{
    sender->next_offset = sender->reader.offset;
    return import_reader_next(&sender->reader, &sender->next, error);
}

/* "*N KEY.IMPORT options", right before the words. */
static char *head_put(const struct sender *sender, char *words, size_t word_count)
{
    const struct import_sending *sending = sender->sending;
    char head[HEAD_MAX], digits[24];
    int len = 0;

    word_count +=
        1u + 2u * sending->skips + sending->forced + sending->tries + 2u * sending->expects;
    len += sprintf(head, "*%zu\r\n$10\r\nKEY.IMPORT\r\n", word_count);
    if (sending->skips)
        len += sprintf(head + len, "$11\r\nON_CONFLICT\r\n$4\r\nskip\r\n");
    if (sending->forced)
        len += sprintf(head + len, "$5\r\nFORCE\r\n");
    if (sending->tries)
        len += sprintf(head + len, "$7\r\nDRY_RUN\r\n");
    if (sending->expects) {
        int digit_count =
            sprintf(digits, "%" PRIu64, sending->spool->key_count - sender->sent_keys);
        len += sprintf(head + len, "$6\r\nEXPECT\r\n$%d\r\n%s\r\n", digit_count, digits);
    }
    memcpy(words - len, head, (size_t)len);
    return words - len;
}

/* An owner has a request of its own; keys share one. */
static bool fits(const struct import_frame *frame, const struct batch *batch, size_t words,
                 size_t len, bool is_owner)
{
    if (batch->count == 0)
        return true;
    return !is_owner && !frame->is_owner && batch->count < BATCH_KEYS &&
           words + frame->word_count <= BATCH_WORDS && len + frame->len <= BATCH_BYTES;
}

static int batch_send(struct sender *sender, struct error *error)
{
    struct batch *batch = &sender->window[(sender->first + sender->waiting) % WINDOW];
    char *words = sender->bytes + HEAD_MAX;
    size_t word_count = 0, len = 0, keys = 0;
    bool is_owner = false;

    *batch = (struct batch){.offset = sender->next_offset};
    while (sender->next != NULL && fits(sender->next, batch, word_count, len, is_owner)) {
        const struct import_frame *frame = sender->next;
        memcpy(words + len, frame + 1, frame->len);
        len += frame->len;
        word_count += frame->word_count;
        is_owner = frame->is_owner != 0;
        keys += !is_owner;
        batch->count++;
        int code = advance(sender, error);
        if (code != 0)
            return code;
    }
    char *head = head_put(sender, words, word_count);
    sender->sent_keys += keys;
    sender->waiting++;
    return session_send_bytes(sender->sending->session, head, (size_t)(words + len - head), error);
}

/* The line of the batch's frame number `record`, from 1; 0: there is none. */
static uint64_t line_find(const struct sender *sender, const struct batch *batch, uint64_t record)
{
    struct import_reader reader;
    const struct import_frame *frame;
    uint64_t line = 0;

    if (record == 0 || record > batch->count ||
        import_reader_open(sender->sending->spool, &reader, NULL) != 0)
        return 0;
    reader.offset = batch->offset;
    for (; record > 0; record--)
        if (import_reader_next(&reader, &frame, NULL) != 0 || frame == NULL)
            break;
    if (record == 0)
        line = frame->line;
    import_reader_close(&reader);
    return line;
}

/* The daemon counts a request's keys; the user has a file with lines. */
static void name_line(const struct sender *sender, const struct batch *batch, struct error *error)
{
    char text[sizeof error->text];
    unsigned long long record;
    uint64_t line;
    int len = 0;

    if (sscanf(error->text, "record %llu: %n", &record, &len) != 1 || len == 0)
        return;
    line = line_find(sender, batch, record);
    if (line == 0)
        return;
    snprintf(text, sizeof text, "%s", error->text + len);
    error_set(error, error->code, "line %" PRIu64 ": %s", line, text);
}

static uint64_t count_of(const json_t *reply, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(reply, name));
}

static int batch_receive(struct sender *sender, struct error *error)
{
    struct import_sending *sending = sender->sending;
    const struct batch *batch = &sender->window[sender->first];
    json_t *reply = NULL;
    int code = session_receive(sending->session, &reply, error);

    if (code != 0)
        name_line(sender, batch, error);
    sender->first = (sender->first + 1) % WINDOW;
    sender->waiting--;
    if (code != 0)
        return code;
    sending->imported += count_of(reply, "count");
    sending->skipped += count_of(reply, "skipped");
    sending->under_suspended_owner += count_of(reply, "under_suspended_owner");
    /* Behind what an interrupted import had brought, all is new. */
    if (sending->skips && !sending->tries)
        sending->expects = count_of(reply, "count") > count_of(reply, "skipped");
    json_decref(sending->last);
    sending->last = reply;
    return 0;
}

static int send_all(struct sender *sender, struct progress *progress, struct error *error)
{
    int code = advance(sender, error);

    while (code == 0 && (sender->next != NULL || sender->waiting > 0)) {
        if (sender->next != NULL && sender->waiting < WINDOW) {
            code = batch_send(sender, error);
            continue;
        }
        code = batch_receive(sender, error);
        progress_show(progress, sender->sending->imported + sender->sending->skipped);
    }
    return code;
}

int import_send(struct import_sending *sending, struct progress *progress, struct error *error)
{
    struct sender sender = {.sending = sending, .bytes = malloc(HEAD_MAX + BATCH_BYTES)};
    struct error ignored;
    int code = sender.bytes != NULL ? import_reader_open(sending->spool, &sender.reader, error)
                                    : error_set(error, CATLATCH_E_MEMORY, "out of memory");

    if (code == 0)
        code = send_all(&sender, progress, error);
    /* After the first failure the others' replies still tell what was done; not if nobody answers.
     */
    while (code != 0 && code != CATLATCH_E_UNAVAILABLE && sender.waiting > 0 &&
           batch_receive(&sender, &ignored) != CATLATCH_E_UNAVAILABLE)
        continue;
    import_reader_close(&sender.reader);
    free(sender.bytes);
    return code;
}
