#include "lib_modules.h"

#include <stdlib.h>

const char *test_modules(void)
{
    const char *modules = getenv("CATLATCH_MODULES");

    return modules != NULL ? modules : TEST_MODULES;
}
