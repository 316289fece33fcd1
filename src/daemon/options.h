/*
 * options.h - the words of KEY.* and OWNER.* commands, taken into an operation.
 *
 * An option is a word, case-insensitive, and the values behind it. Errors name the option or the
 * argument's position, what is wrong with it and what would be right; never what was sent. Every
 * text is copied into the operation.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "daemon/command.h"

struct option {
    const char *word;
    unsigned values;
    bool repeats;
    /* False: refused, and the call was told so. */
    bool (*take)(struct call *call, struct op *op, const char *word, const struct text *values);
};

/* Takes the words from number `from` to the end. */
bool options_parse(struct call *call, struct op *op, size_t from, const struct option *options,
                   size_t count);

/* Takes the ids that the request's words begin with; *ret_next is the first word after them. */
bool options_ids(struct call *call, struct op *op, size_t *ret_next);

/* Valid text of min to max bytes, copied. */
bool options_text(struct call *call, struct op *op, const char *word, struct text value, size_t min,
                  size_t max, struct text *ret_text);

/* A moment; the empty text is 0: never, or at once. A moment at the epoch is 1, for 0 is taken. */
bool options_time(struct call *call, const char *word, struct text value, int64_t *ret_unix_s);

/* A duration in whole seconds, rounded up. */
bool options_duration(struct call *call, const char *word, struct text value, int64_t *ret_s);

/* "1:42", and nothing else. */
bool options_position(struct text text, struct store_position *ret);

bool options_limit(struct call *call, struct op *op, const char *word, const struct text *values);
bool options_comment(struct call *call, struct op *op, const char *word, const struct text *values);

/* One more scope, network or pair, unless it is there already or there are too many. */
bool options_scope(struct call *call, struct op_fields *fields, struct op *op, const char *word,
                   struct text value);
bool options_network(struct call *call, struct op_fields *fields, const char *word,
                     struct text value);
/* One or several rates with commas between them, beside those that are there. */
bool options_rates(struct call *call, struct rates *rates, const char *word, struct text value);
/* Of OP_HAS_RATES one more, and all of them: an empty value clears. */
bool options_rate(struct call *call, struct op *op, const char *word, const struct text *values);
bool options_all_rates(struct call *call, struct op *op, const char *word,
                       const struct text *values);
bool options_pair(struct call *call, struct op *op, const char *word, struct text name,
                  struct text value, struct record_pair *pairs, size_t *io_count);

#endif
