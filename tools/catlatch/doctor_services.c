/* What the services demand, against what the keys are confined to. */
#include <inttypes.h>
#include <string.h>

#include "doctor.h"
#include "stack/service.h"

/* Without `table` it is not for these keys, or the daemon's service of that name decides. */
static void service_look(struct doctor *doctor, const char *name)
{
    if (!stack_mentions(doctor->config, name, "table", NULL) ||
        stack_mentions(doctor->config, name, "address", NULL))
        return;
    doctor_say(doctor, DOCTOR_WARNING,
               "service %s has no `address` line: %" PRIu64 " key%s, confined to networks, can be "
               "used there from anywhere",
               name, doctor->confined, doctor->confined == 1 ? "" : "s");
    doctor_mend(doctor, "add `required = address` to [service %s] of %s", name,
                doctor->config->path);
}

/* A worker that was started with such a service before the daemon knows of it. */
static void limits_look(struct doctor *doctor, const char *name)
{
    struct named_limits limits = {.count = 0};
    struct stack_service *service = NULL;

    if (!stack_mentions(doctor->config, name, "limit", NULL) ||
        stack_open(doctor->config, name, STACK_HOST_DAEMON, &service, NULL) != 0)
        return; /* `configuration` tells why */
    (void)stack_gather_limits(service, &limits, NULL);
    for (size_t i = 0; i < limits.count; i++) {
        const struct named_limit *limit = &limits.list[i];
        bool known = true;
        for (uint32_t j = 0; j < limit->rates.count; j++)
            known &=
                table_named_limit(&doctor->table.view, limit->name, &limit->rates.list[j]) >= 0;
        if (known)
            continue;
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "service %s charges the limit %s, which the daemon does not know with these "
                   "rates: who uses it is unavailable",
                   name, limit->name);
        doctor_mend(doctor, "catlatch reload");
    }
    stack_close(service);
}

void doctor_services(struct doctor *doctor)
{
    const struct config *config = doctor->config;

    for (size_t i = 0; doctor->table.mapped && i < config->service_count; i++)
        limits_look(doctor, config->services[i].name);
    if (!doctor->knows_confined) {
        doctor_say(doctor, DOCTOR_SKIPPED, "the keys were not looked at (see `keys`)");
        return;
    }
    for (size_t i = 0; doctor->confined > 0 && i < config->service_count; i++)
        service_look(doctor, config->services[i].name);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "%s",
                   doctor->confined > 0 ? "each looks at the networks that keys are confined to"
                                        : "no key is confined to networks");
}
