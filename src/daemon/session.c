#include "daemon/session.h"

#include <string.h>
#include <time.h>

#include "stack/judge.h"
#include "stack/note.h"

void session_look_up(struct session *session, const struct config *config, uid_t daemon_uid)
{
    enum config_right right = peer_right(&session->peer, config, daemon_uid);

    if (!session->on_admin_socket)
        right = right >= CONFIG_RIGHT_VERIFY ? CONFIG_RIGHT_VERIFY : CONFIG_RIGHT_NONE;
    session->peer_right = right;
}

/* The highest right that the key's scopes give. Damage gives nothing. */
static enum config_right right_of_scopes(const struct table_view *view, uint64_t slot)
{
    static const struct {
        const char *scope;
        enum config_right right;
    } rights[] = {
        {"catlatch:admin", CONFIG_RIGHT_ADMIN},
        {"catlatch:write", CONFIG_RIGHT_WRITE},
        {"catlatch:revoke", CONFIG_RIGHT_REVOKE},
        {"catlatch:read", CONFIG_RIGHT_READ},
    };

    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
        int has = table_has_scope(view, slot, rights[i].scope, strlen(rights[i].scope));
        if (has != 0)
            return has > 0 ? rights[i].right : CONFIG_RIGHT_NONE;
    }
    return CONFIG_RIGHT_NONE;
}

/* Confined unless it is certain that the key is not. */
static bool standing_confine(struct standing *standing, const struct table_view *view,
                             uint64_t slot)
{
    struct table_identity identity;
    int own = table_has_scope(view, slot, "catlatch:own", strlen("catlatch:own"));

    standing->confined = own != 0;
    if (own < 0 || table_identity(view, slot, &identity) != 0)
        return false;
    if (!standing->confined)
        return true;
    memcpy(standing->owner, identity.owner, sizeof standing->owner);
    return standing->owner[0] != '\0'; /* an empty confinement would be none */
}

/* What a service demands of keys is for those who verify; here a key must be live, and its scopes
 * say the rest. */
static void standing_of_key(const struct table_view *view, const struct digest *digest,
                            struct standing *ret_standing)
{
    struct standing standing = {.right = CONFIG_RIGHT_NONE};
    struct table_hit hit;

    standing.key_result = judge_digest(view, digest, &hit);
    /* Of a peer on a socket no address is known. */
    if (standing.key_result == CATLATCH_VALID && (hit.control & CONTROL_NETWORKS) != 0)
        standing.key_result = CATLATCH_IP_NOT_ALLOWED;
    if (standing.key_result == CATLATCH_VALID) {
        standing.key_id = hit.id;
        if (standing_confine(&standing, view, hit.slot))
            standing.right = right_of_scopes(view, hit.slot);
        if (standing.right == CONFIG_RIGHT_NONE)
            standing.key_result = CATLATCH_INSUFFICIENT_SCOPE;
    }
    *ret_standing = standing;
}

void session_standing(const struct session *session, const struct table_view *view,
                      struct standing *ret_standing)
{
    if (session->authenticated) {
        standing_of_key(view, &session->key_digest, ret_standing);
        return;
    }
    ret_standing->right = session->peer_right;
    ret_standing->key_result = CATLATCH_VALID;
    ret_standing->key_id = 0;
    ret_standing->confined = false;
    ret_standing->owner[0] = '\0';
}

static enum catlatch_result verify_by_hand(const struct verifier *verifier, struct text key)
{
    struct stack_request request = {.key = key.bytes, .key_len = key.len};
    struct stack_run run;

    stack_prepare(verifier->service, &request, &run);
    run.usage = verifier->usage;
    enum catlatch_result result = stack_decide(&run, verifier->view);
    stack_note(&run, result, verifier->record_address, time(NULL));
    return result;
}

enum catlatch_result session_authenticate(struct session *session, const struct verifier *verifier,
                                          struct text key)
{
    struct standing standing;
    struct digest digest;

    if (!session->on_admin_socket)
        return verify_by_hand(verifier, key);
    if (key.len > KEY_FOREIGN_MAX)
        return CATLATCH_MALFORMED;
    digest_of(key.bytes, key.len, &digest);
    standing_of_key(verifier->view, &digest, &standing);
    if (standing.key_result == CATLATCH_VALID) {
        session->authenticated = true;
        session->key_digest = digest;
    }
    return standing.key_result;
}

void session_reset(struct session *session)
{
    session->protocol = 2;
    session->authenticated = session->subscribed = false;
    memset(&session->key_digest, 0, sizeof session->key_digest);
    session->name[0] = '\0';
}
