/* The configuration that the store thread goes by, and what of it stands in the table. */
#include "daemon/changer_internal.h"
#include "daemon/settings.h"

/* What of the configuration stands in the table itself. */
static void configure_table(struct changer *changer, struct table_writer *table)
{
    const struct named_limits *named = &changer->keys.config->named_limits;

    changer->all_placed = true;
    atomic_store_explicit(&table->header->max_stale_ms,
                          (uint64_t)changer->keys.config->max_stale_ms, memory_order_relaxed);
    for (size_t i = 0; i < named->count; i++)
        for (uint32_t j = 0; j < named->list[i].rates.count; j++)
            /* Where it is full, the next generation has room: changer_lacks_limits. */
            changer->all_placed &=
                table_name_limit(table, named->list[i].name, &named->list[i].rates.list[j]) == 0;
}

void changer_take_over_table(struct changer *changer, struct table_writer *fresh,
                             const struct table_view *from)
{
    if (from != NULL)
        table_keep_limits(fresh, from, changer->growth.spare_limits);
    configure_table(changer, fresh); /* which may have changed since the plan */
    changer->all_limited = changer->growth.all_limited;
}

bool changer_lacks_limits(const struct changer *changer)
{
    return changer->keys.config->named_limits.count > 0 &&
           tally_area(changer->keys.sweeper.tally) != NULL &&
           !(changer->all_limited && changer->all_placed);
}

void changer_take_config(struct changer *changer)
{
    const struct config *fresh = changer->fresh_config;
    if (fresh == NULL)
        return;
    changer->config_error.code = 0;
    if (settings_check_environments(fresh, &changer->keys.table->view, &changer->config_error) ==
        0) {
        changer->keys.config = fresh;
        configure_table(changer, changer->keys.table);
        retention_confirm(&changer->retention);
        changer->all_limited &= fresh->named_limits.count > 0;
    }
    changer->fresh_config = NULL;
    changer->config_waits = true;
}

void changer_tell_configured(struct changer *changer)
{
    bool was_tried = generation_now_ms() < changer->no_growth_before_ms;

    if (!changer->config_waits || (changer_lacks_limits(changer) && !was_tried))
        return;
    changer->config_waits = false;
    uv_mutex_lock(&changer->lock);
    changer->config_taken = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}
