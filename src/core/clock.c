#include "core/clock.h"

void clock_confirm(struct clock_watch *watch, int64_t wall_ms, int64_t boot_ms)
{
    watch->offset_ms = wall_ms - boot_ms;
    watch->jumped = false;
}

void clock_begin(struct clock_watch *watch, int64_t wall_ms, int64_t boot_ms, int64_t last_known_ms)
{
    clock_confirm(watch, wall_ms, boot_ms);
    watch->jumped = last_known_ms - wall_ms > CLOCK_JUMP_MS;
}

bool clock_is_believed(struct clock_watch *watch, int64_t wall_ms, int64_t boot_ms)
{
    int64_t jump_ms = wall_ms - boot_ms - watch->offset_ms;

    if (jump_ms > CLOCK_JUMP_MS || jump_ms < -CLOCK_JUMP_MS)
        watch->jumped = true;
    return !watch->jumped;
}
