/* twin: two files that differ in a byte, the test's work, are two modules of this name. */
#include <string.h>

#include "catlatch_module.h"
#include "tests/stack/record.h"

/* The test looks for this text in the file. */
static const char which[] = "THE TWIN IS A";

static int verify(void *instance, struct catlatch_call *call)
{
    const volatile char *last = &which[sizeof which - 2]; /* not what the compiler knows */

    (void)instance, (void)call;
    record.message[0] = *last;
    return CATLATCH_VALID;
}

CATLATCH_MODULE(twin, .verify = verify);
