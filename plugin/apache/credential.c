/* The key in a request's headers. */
#include "plugin/apache/mod_catlatch.h"

#include <string.h>

#define AUTHORIZATION "Authorization"

static const struct source bearer = {.kind = SOURCE_BEARER};

static int source_count(const apr_array_header_t *sources)
{
    return sources != NULL ? sources->nelts : 1;
}

static const struct source *source_at(const apr_array_header_t *sources, int i)
{
    return sources != NULL ? &APR_ARRAY_IDX(sources, i, const struct source) : &bearer;
}

static const char *header_of(const struct source *source)
{
    return source->kind == SOURCE_HEADER ? source->header : AUTHORIZATION;
}

/* httpd makes one field of those that come twice, with commas between what they say; modules can
 * have added others since. */
struct fields {
    int count;
    const char *value; /* of the first */
};

static int count_field(void *data, const char *name, const char *value)
{
    struct fields *fields = data;

    (void)name;
    if (fields->count++ == 0)
        fields->value = value;
    return 1;
}

static int found_in(const struct source *source, const struct fields *fields)
{
    size_t len = strlen(fields->value);

    if (fields->count > 1)
        return FOUND_SEVERAL;
    if (source->kind == SOURCE_HEADER)
        return credential_is_list(fields->value, len) ? FOUND_SEVERAL : FOUND_ONE;
    switch (credential_scheme(fields->value, len)) {
    case CREDENTIAL_SEVERAL:
        return FOUND_SEVERAL;
    case CREDENTIAL_BEARER:
        return source->kind == SOURCE_BEARER ? FOUND_ONE : FOUND_NONE;
    case CREDENTIAL_BASIC:
        return source->kind == SOURCE_BASIC ? FOUND_ONE : FOUND_NONE;
    case CREDENTIAL_OTHER:
        break;
    }
    return FOUND_NONE;
}

/* A field that came twice is not one credential, whatever the second says. */
struct found credential_find(request_rec *r, const apr_array_header_t *sources)
{
    struct found found = {.found = FOUND_NONE};

    for (int i = 0; i < source_count(sources); i++) {
        const struct source *source = source_at(sources, i);
        struct fields fields = {0};
        apr_table_do(count_field, &fields, r->headers_in, header_of(source), NULL);
        int here = fields.count > 0 ? found_in(source, &fields) : FOUND_NONE;
        if (here == FOUND_NONE)
            continue;
        if (here == FOUND_SEVERAL || found.found != FOUND_NONE)
            return (struct found){.found = FOUND_SEVERAL};
        found = (struct found){FOUND_ONE, (int)source->kind, fields.value};
    }
    return found;
}

/* What SetEnvIf and the like made of a field. */
static void hide_copies(request_rec *r, const char *value)
{
    const apr_array_header_t *list = apr_table_elts(r->subprocess_env);
    const char *name;

    do {
        name = NULL;
        for (int i = 0; i < list->nelts && name == NULL; i++) {
            const apr_table_entry_t *entry = &APR_ARRAY_IDX(list, i, apr_table_entry_t);
            if (entry->key != NULL && entry->val != NULL && strcmp(entry->val, value) == 0)
                name = entry->key;
        }
        if (name != NULL)
            apr_table_unset(r->subprocess_env, name);
    } while (name != NULL);
}

void credential_hide(request_rec *r, const apr_array_header_t *sources)
{
    for (int i = 0; i < source_count(sources); i++) {
        const struct source *source = source_at(sources, i);
        struct fields fields = {0};
        apr_table_do(count_field, &fields, r->headers_in, header_of(source), NULL);
        if (fields.count == 0 || found_in(source, &fields) == FOUND_NONE)
            continue;
        apr_table_unset(r->headers_in, header_of(source));
        if (fields.value[0] != '\0')
            hide_copies(r, fields.value);
    }
}
