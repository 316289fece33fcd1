/* fuzz_ini.c - bytes to core/ini.h: whatever is visited keeps what the header promises. */
#include <stdlib.h>
#include <string.h>

#include "core/ini.h"
#include "core/text.h"

struct seen {
    unsigned line;
    char section[INI_NAME_MAX + 1];
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(int truth)
{
    if (!truth)
        abort();
}

static int visit(void *context, const struct ini_event *event, struct error *error)
{
    struct seen *seen = context;

    (void)error;
    demand(event->line > seen->line);
    seen->line = event->line;
    demand(strlen(event->section) >= 1 && strlen(event->section) <= INI_NAME_MAX);
    if (event->name == NULL) {
        strcpy(seen->section, event->section);
        return 0;
    }
    demand(strcmp(event->section, seen->section) == 0);
    demand(strlen(event->name) >= 1 && strlen(event->name) <= INI_NAME_MAX);
    demand(strlen(event->value) <= INI_LINE_MAX);
    demand(text_is_printable_utf8(event->name, strlen(event->name)));
    demand(text_is_printable_utf8(event->value, strlen(event->value)));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct seen seen = {.line = 0};
    struct error error = {.code = 0};
    FILE *stream = size > 0 ? fmemopen((void *)bytes, size, "r") : NULL;
    int r;

    if (stream == NULL)
        return 0;
    r = ini_read(stream, "fuzz.ini", visit, &seen, &error);
    demand(r == 0 || r == CATLATCH_E_CONFIG);
    demand(r == 0 || strncmp(error.text, "fuzz.ini:", 9) == 0);
    fclose(stream);
    return 0;
}
