#include "plugin/pam/owners.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "core/trust.h"

static int add(struct owners *owners, struct text name, struct error *error)
{
    size_t size = sizeof *owners->names;
    char(*grown)[CATLATCH_TEXT_SIZE] = reallocarray(owners->names, owners->count + 1, size);

    if (grown == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for a user's owners");
    owners->names = grown;
    memset(grown[owners->count], 0, size);
    memcpy(grown[owners->count], name.bytes, name.len);
    owners->count++;
    return 0;
}

/* The word that *io_rest begins with, in double quotes or not, and what stands behind it. */
static int take_word(struct text *io_rest, struct text *ret_word, struct error *error)
{
    const char *bytes = io_rest->bytes;
    bool quoted = io_rest->len > 0 && bytes[0] == '"';
    uint32_t start = quoted ? 1 : 0, end = start;

    while (end < io_rest->len && bytes[end] != (quoted ? '"' : ' '))
        end++;
    *ret_word = (struct text){bytes + start, end - start};
    if (quoted && end == io_rest->len)
        return error_set(error, CATLATCH_E_CONFIG, "the quotes are not closed");
    end += quoted ? 1 : 0;
    if (quoted && end < io_rest->len && bytes[end] != ' ')
        return error_set(error, CATLATCH_E_CONFIG, "a blank is wanted behind the quotes");
    while (end < io_rest->len && bytes[end] == ' ')
        end++;
    *io_rest = (struct text){bytes + end, io_rest->len - end};
    return 0;
}

static int read_line(struct text line, const char *user, struct owners *owners, struct error *error)
{
    struct text owner, name;
    int r = take_word(&line, &owner, error);

    if (r == 0)
        r = take_word(&line, &name, error);
    if (r != 0)
        return r;
    if (owner.len == 0 || name.len == 0 || line.len > 0)
        return error_set(error, CATLATCH_E_CONFIG,
                         "`owner user` is wanted: two words, an owner with blanks in double "
                         "quotes, comments on lines of their own");
    if (owner.len >= CATLATCH_TEXT_SIZE)
        return error_set(error, CATLATCH_E_CONFIG, "an owner has at most %d bytes",
                         CATLATCH_TEXT_SIZE - 1);
    return text_is(name, user) ? add(owners, owner, error) : 0;
}

/* Without its newline and the blanks about it, and with blanks for tabs. */
static int trim(char *bytes, size_t len, struct text *ret_line, struct error *error)
{
    if (len > 0 && bytes[len - 1] == '\n')
        len--;
    for (size_t i = 0; i < len; i++)
        if (bytes[i] == '\t')
            bytes[i] = ' ';
    if (len > UINT32_MAX || !text_is_printable_utf8(bytes, len))
        return error_set(error, CATLATCH_E_CONFIG, "this is no UTF-8, or has control characters");
    while (len > 0 && bytes[len - 1] == ' ')
        len--;
    for (; len > 0 && bytes[0] == ' '; bytes++)
        len--;
    *ret_line = (struct text){bytes, (uint32_t)len};
    return 0;
}

static int read_map(FILE *file, const char *path, const char *user, struct owners *owners,
                    struct error *error)
{
    char *bytes = NULL;
    size_t room = 0;
    ssize_t len;
    int r = 0;

    for (unsigned number = 1; r == 0 && (len = getline(&bytes, &room, file)) >= 0; number++) {
        struct text line = {0};
        r = trim(bytes, (size_t)len, &line, error);
        if (r == 0 && line.len > 0 && line.bytes[0] != '#')
            r = read_line(line, user, owners, error);
        if (r != 0)
            error_prefix(error, "%s:%u", path, number);
    }
    if (r == 0 && !feof(file))
        r = error_errno(error, errno, "cannot read %s", path);
    free(bytes);
    return r;
}

static int owners_of_map(const char *user, const char *path, struct owners *owners,
                         struct error *error)
{
    struct trust trust = trust_self();
    int fd = -1;
    int r = trust_open(path, &trust, &fd, error);

    if (r != 0)
        return r;
    FILE *file = fdopen(fd, "r");
    if (file == NULL) {
        close(fd);
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for reading %s", path);
    }
    r = read_map(file, path, user, owners, error);
    fclose(file);
    return r;
}

int owners_of_user(const char *user, const char *map, struct owners *ret_owners,
                   struct error *error)
{
    struct owners owners = {0};
    struct text name = text_of(user);
    int r = 0;

    if (map != NULL)
        r = owners_of_map(user, map, &owners, error);
    else if (name.len > 0 && name.len < CATLATCH_TEXT_SIZE)
        r = add(&owners, name, error);
    if (r == 0)
        *ret_owners = owners;
    else
        owners_free(&owners);
    return r;
}

bool owners_hold(const struct owners *owners, const char owner[CATLATCH_TEXT_SIZE])
{
    unsigned found = 0;

    for (size_t i = 0; i < owners->count; i++)
        found |= CRYPTO_memcmp(owners->names[i], owner, CATLATCH_TEXT_SIZE) == 0;
    return found != 0;
}

void owners_free(struct owners *owners)
{
    free(owners->names);
    *owners = (struct owners){0};
}
