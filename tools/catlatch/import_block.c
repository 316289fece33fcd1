#include "import_block.h"

#include <openssl/crypto.h>
#include <string.h>

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

/* The next line, which is one. */
static int line_copy(struct import_block *block, struct import_lines *lines, struct error *error)
{
    struct import_checked *line = &block->lines[block->line_count];
    const char *text;
    size_t len;
    bool more = false;
    int code = import_lines_next(lines, &text, &len, &more, error);

    if (code != 0 || is_blank(text, len))
        return code;
    *line = (struct import_checked){.number = lines->number, .len = len};
    line->text = memcpy(block->text + block->text_len, text, len);
    block->text_len += len;
    block->line_count++;
    return 0;
}

int import_block_fill(struct import_block *block, struct import_lines *lines, bool waits,
                      struct error *error)
{
    int code = 0;

    while (code == 0 && block->line_count < IMPORT_BLOCK_LINES &&
           block->text_len < IMPORT_BLOCK_TEXT) {
        switch (import_lines_peek(lines)) {
        case IMPORT_NEXT_UNREAD:
            if ((!waits || block->line_count > 0) && !import_lines_ready(lines))
                return 0;
            code = import_lines_fill(lines, error);
            break;
        case IMPORT_NEXT_LINE:
            code = line_copy(block, lines, error);
            break;
        case IMPORT_NEXT_LONG:
        case IMPORT_NEXT_END:
            return 0;
        }
    }
    return code;
}

void import_block_check(struct import_block *block, const struct import_rules *rules,
                        struct json_arena *arena)
{
    int code = 0;

    OPENSSL_cleanse(block->words, block->words_len);
    block->words_len = 0;
    while (code == 0 && block->checked < block->line_count &&
           block->words_len < IMPORT_BLOCK_WORDS) {
        struct import_checked *checked = &block->lines[block->checked++];
        checked->line.words = block->words + block->words_len;
        code = import_line_read(rules, arena, checked->text, checked->len, &checked->line,
                                &block->error);
        checked->code = code;
        block->words_len += checked->line.len;
    }
}

const struct import_checked *import_block_next(struct import_block *block,
                                               const struct import_rules *rules,
                                               struct json_arena *arena)
{
    if (block->given == block->line_count)
        return NULL;
    if (block->given == block->checked)
        import_block_check(block, rules, arena);
    return &block->lines[block->given++];
}

void import_block_clear(struct import_block *block)
{
    OPENSSL_cleanse(block->text, block->text_len);
    OPENSSL_cleanse(block->words, block->words_len);
    block->line_count = block->checked = block->given = 0;
    block->text_len = block->words_len = 0;
}
