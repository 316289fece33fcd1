/*
 * address [trust=NETWORK[,NETWORK]...]: where a key is confined to networks, the caller's address
 * lies in one of them. A key without networks passes from everywhere.
 *
 * The request's address is the peer's, or a list as of X-Forwarded-For with the peer's behind it.
 * The peer counts; but where it is one of the trusted proxies, the address before it does, which
 * that proxy told, and so on. What lies further to the left could have been written by anybody. A
 * text there that is no address is nobody's.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "plugin/refuse.h"

#define TRUSTED_MAX 64u

struct trusted {
    size_t count;
    struct network networks[TRUSTED_MAX];
};

static int add_network(const struct catlatch_setup *setup, struct text text,
                       struct trusted *trusted)
{
    struct error error = {.text = ""};

    if (trusted->count == TRUSTED_MAX)
        return refuse(setup, "trust= names more than %u networks", TRUSTED_MAX);
    if (network_parse(text, &trusted->networks[trusted->count], &error) != 0)
        return refuse(setup, "trust= \"%.*s\" %s", (int)text.len, text.bytes, error.text);
    trusted->count++;
    return 0;
}

static int add_networks(const struct catlatch_setup *setup, const char *list,
                        struct trusted *trusted)
{
    int r;

    for (;; list++) {
        size_t len = strcspn(list, ",");
        if ((r = add_network(setup, (struct text){list, (uint32_t)len}, trusted)) != 0)
            return r;
        list += len;
        if (*list == '\0')
            return 0;
    }
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct trusted *trusted = calloc(1, sizeof *trusted);
    int r = 0;

    if (trusted == NULL)
        return refuse_memory(setup);
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++) {
        const struct catlatch_argument *argument = &setup->arguments[i];
        if (strcmp(argument->name, "trust") != 0 || argument->value == NULL)
            r = refuse(setup, "the one argument that there is is trust=NETWORK,...");
        else
            r = add_networks(setup, argument->value, trusted);
    }
    if (r == 0)
        *ret_instance = trusted;
    else
        free(trusted);
    return r;
}

static bool is_trusted(const struct trusted *trusted, const struct address *address)
{
    for (size_t i = 0; i < trusted->count; i++) {
        if (network_has(&trusted->networks[i], address))
            return true;
    }
    return false;
}

/* The last element of a list of `len` bytes, without the blanks around it; *io_len becomes what is
 * before it, and 0 where it was the only one. */
static struct text last_of(const char *list, size_t *io_len)
{
    size_t end = *io_len, begin = end;

    while (begin > 0 && list[begin - 1] != ',')
        begin--;
    *io_len = begin > 0 ? begin - 1 : 0;
    while (begin < end && (list[begin] == ' ' || list[begin] == '\t'))
        begin++;
    while (end > begin && (list[end - 1] == ' ' || list[end - 1] == '\t'))
        end--;
    return (struct text){list + begin, (uint32_t)(end - begin)};
}

/* Whom the request is from. False: that cannot be told. */
static bool find_caller(const struct trusted *trusted, const char *list, struct address *ret)
{
    size_t len = strlen(list);

    do {
        if (address_parse(last_of(list, &len), ret) != 0)
            return false;
    } while (len > 0 && is_trusted(trusted, ret));
    return true;
}

/* Of a key that has networks. Apart, so that the many that have none do not pay for its frame. */
static __attribute__((noinline)) int look(const struct trusted *trusted,
                                          const struct catlatch_call *call)
{
    struct address caller;

    if (call->address == NULL || !find_caller(trusted, call->address, &caller))
        return CATLATCH_IP_NOT_ALLOWED;
    int allows = call->host->record_allows(call, caller.bytes);
    if (allows < 0)
        return CATLATCH_UNAVAILABLE;
    return allows > 0 ? CATLATCH_VALID : CATLATCH_IP_NOT_ALLOWED;
}

static int verify(void *instance, struct catlatch_call *call)
{
    if (call->record_state != CATLATCH_VALID || (call->flags & CATLATCH_CALL_NO_NETWORKS) != 0)
        return call->record_state;
    return look(instance, call);
}

CATLATCH_MODULE(address, .flags = CATLATCH_NEEDS_TABLE,
                .passes = {.flags = CATLATCH_CALL_RECORD_VALID | CATLATCH_CALL_NO_NETWORKS},
                .init = start, .verify = verify, .fini = free);
