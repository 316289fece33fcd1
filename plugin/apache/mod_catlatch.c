/*
 * The module, and where it comes among others.
 *
 *     LoadModule catlatch_module modules/mod_catlatch.so
 *     <Location /api/>
 *         AuthType Catlatch
 *         Require valid-key
 *     </Location>
 */
#include "plugin/apache/mod_catlatch.h"

#include <http_protocol.h>

/* Who else is asked whether a request may pass is asked from here, for what they say decides about
 * the charge. The environment is there for all who come behind, and a field that is hidden is gone
 * before they can copy it. */
static void register_hooks(apr_pool_t *pool)
{
    ap_hook_pre_config(directives_begin, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(directives_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(directives_begin_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_authn(access_authenticate, NULL, NULL, APR_HOOK_MIDDLE,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(access_authorize, NULL, NULL, APR_HOOK_REALLY_FIRST,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(access_fixup, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(access_serve, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_error_filter(refusal_insert_filter, NULL, NULL, APR_HOOK_LAST);
    ap_hook_log_transaction(tell_before_log, NULL, NULL, APR_HOOK_REALLY_FIRST);
    require_register(pool);
    refusal_register();
}

/* httpd finds it by its name. */
__attribute__((visibility("default"))) module catlatch_module = {
    STANDARD20_MODULE_STUFF, directives_make_dir, directives_merge_dir, directives_make_server,
    directives_merge_server, directives,          register_hooks,       AP_MODULE_FLAG_NONE,
};
