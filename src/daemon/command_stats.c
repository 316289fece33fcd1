#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/daemon.h"
#include "daemon/pairs.h"

static void pair(struct reply *reply, const char *name, uint64_t value)
{
    reply_word(reply, name);
    reply_count(reply, value);
}

static uint64_t uptime_s(const struct daemon *daemon)
{
    return (uv_now(&daemon->loop) - daemon->started_ms) / 1000u;
}

void handle_stats(struct call *call)
{
    const struct daemon *daemon = call->daemon;
    struct reply *reply = call->reply;
    const struct store_flush_times flush = store_flush_times(daemon->store);
    struct changer_status status;
    uint64_t results[PROCESS_RESULTS];

    changer_status(daemon->changer, &status);
    reply_map(reply, 34);
    reply_word(reply, "version");
    reply_word(reply, CATLATCH_VERSION);
    reply_word(reply, "host");
    reply_word(reply, daemon->host);
    pair(reply, "pid", (uint64_t)getpid());
    pair(reply, "uptime_s", uptime_s(daemon));
    pair(reply, "heartbeat_age_ms", status.heartbeat_age_ms);
    pair(reply, "epoch", status.epoch);
    pair(reply, "sequence", status.sequence);
    pair(reply, "generation", status.generation);
    pair(reply, "keys", status.key_count);
    pair(reply, "slots_used", status.slots_used);
    pair(reply, "slot_count", status.slot_count);
    pair(reply, "capacity", status.capacity);
    pair(reply, "fill_permille", status.fill_permille);
    pair(reply, "table_bytes", status.table_bytes);
    reply_word(reply, "growing");
    reply_bool(reply, status.growing);
    pair(reply, "waiting", status.waiting);
    pair(reply, "queued", status.queued);
    pair(reply, "batches", status.batches);
    pair(reply, "flush_us", flush.last_us);
    pair(reply, "flush_longest_us", flush.longest_us);
    pair(reply, "flush_total_us", flush.total_us);
    pair(reply, "changes", status.changes);
    pair(reply, "usage_records", status.usage_records);
    pair(reply, "usage_capacity", status.usage_capacity);
    pair(reply, "usage_rounds", status.usage_rounds);
    pair(reply, "usage_swept", status.usage_swept);
    pair(reply, "usage_unbelieved", status.usage_unbelieved);
    pair(reply, "usage_slice_longest_us", status.usage_slice_longest_us);
    pair(reply, "clients", daemon->server.client_count);
    pair(reply, "verified", daemon->verified);
    pair(reply, "ballast_bytes", store_ballast_bytes(daemon->store));
    reply_word(reply, "ballast_spent");
    reply_bool(reply, store_ballast_is_spent(daemon->store));
    pair_time(reply, "last_backup_at", store_backup_time(daemon->store));
    census_results(daemon->census, results);
    pair_results(reply, results);
}

void handle_reload(struct call *call)
{
    call->reload = true;
}

/* Sections as redis-cli --stat, ioredis and the like look for them; loading is over, or there
 * would be no socket to ask on. */
void handle_info(struct call *call)
{
    const struct daemon *daemon = call->daemon;
    struct changer_status status;
    char text[1024];

    changer_status(daemon->changer, &status);
    int len =
        snprintf(text, sizeof text,
                 "# Server\r\ncatlatch_version:%s\r\nredis_mode:standalone\r\n"
                 "process_id:%ld\r\nuptime_in_seconds:%" PRIu64 "\r\n\r\n"
                 "# Clients\r\nconnected_clients:%" PRIu64 "\r\nblocked_clients:0\r\n"
                 "maxclients:%" PRIu64 "\r\n\r\n"
                 "# Memory\r\nused_memory:%" PRIu64 "\r\n\r\n"
                 "# Persistence\r\nloading:0\r\n\r\n"
                 "# Stats\r\ntotal_connections_received:%" PRIu64 "\r\n"
                 "total_commands_processed:%" PRIu64 "\r\n\r\n"
                 "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n"
                 "# Keyspace\r\ndb0:keys=%" PRIu64 ",expires=0,avg_ttl=0\r\n",
                 CATLATCH_VERSION, (long)getpid(), uptime_s(daemon), daemon->server.client_count,
                 daemon->settings.config->max_clients, status.table_bytes, daemon->server.last_id,
                 daemon->commands, status.key_count);
    reply_bulk(call->reply, text, len > 0 ? (size_t)len : 0);
}

/* fnmatch's time can rise steeply with the number of stars, and the loop waits for it. */
#define PATTERN_MAX 32u

static bool any_pattern_matches(const struct call *call, const char *name)
{
    for (size_t i = 2; i < call->request->count; i++) {
        struct text pattern = call_word(call, i);
        if (pattern.len <= PATTERN_MAX && fnmatch(pattern.bytes, name, FNM_CASEFOLD) == 0)
            return true;
    }
    return false;
}

/* redis-benchmark asks for save and appendonly and gives up without them. What they say of us:
 * every change is on the disk before it is acknowledged. */
void handle_config(struct call *call)
{
    char clients[24];
    const char *const settings[][2] = {
        {"save", ""}, {"appendonly", "yes"}, {"databases", "1"}, {"maxclients", clients}};
    size_t count = sizeof settings / sizeof settings[0], matches = 0;

    if (!text_is_nocase(call_word(call, 1), "GET")) {
        call_refuse(call, "ERR", "CONFIG knows GET alone; settings are in %s, and RELOAD reads it",
                    call->daemon->settings.config->path);
        return;
    }
    snprintf(clients, sizeof clients, "%" PRIu64, call->daemon->settings.config->max_clients);
    for (size_t i = 0; i < count; i++)
        matches += any_pattern_matches(call, settings[i][0]);
    reply_map(call->reply, matches);
    for (size_t i = 0; i < count; i++) {
        if (!any_pattern_matches(call, settings[i][0]))
            continue;
        reply_word(call->reply, settings[i][0]);
        reply_word(call->reply, settings[i][1]);
    }
}
