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

void doctor_services(struct doctor *doctor)
{
    const struct config *config = doctor->config;

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
