#include "meter.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "output.h"
#include "value.h"

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* "TIME used KEY of OWNER: 12 times, the last from ADDRESS". */
static void line_print(const json_t *key, const char *what, json_int_t count, const char *at,
                       const char *from)
{
    const char *where = value_text(key, from);

    if (count <= 0)
        return;
    printf("%s %s %s of ", value_text(key, at), what, value_text(key, "id"));
    output_word(value_text(key, "owner"));
    if (count > 1)
        printf(": %" JSON_INTEGER_FORMAT " times%s", count, *where != '\0' ? ", the last" : "");
    if (*where != '\0')
        printf("%s from %s", count > 1 ? "" : ":", where);
    putchar('\n');
}

static void key_print(const struct meter *meter, const json_t *key, json_int_t granted,
                      json_int_t refused)
{
    static const char *const told[] = {"id",
                                       "name",
                                       "owner",
                                       "last_used_at",
                                       "last_used_from",
                                       "last_refused_at",
                                       "last_refused_from"};

    if (!meter->json) {
        line_print(key, "used", granted, "last_used_at", "last_used_from");
        line_print(key, "refused", refused, "last_refused_at", "last_refused_from");
        return;
    }
    json_t *uses = json_pack("{s{sIsI}}", "uses", "granted", granted, "refused", refused);
    json_t *inner = json_object_get(uses, "uses");
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        (void)json_object_set(inner, told[i], json_object_get(key, told[i]));
    output_json(uses);
    json_decref(uses);
}

static void one_print(struct meter *meter, const json_t *key)
{
    json_int_t granted = number(key, "use_count"), refused = number(key, "refused_count");

    if (meter->begun && (granted > meter->granted || refused > meter->refused))
        key_print(meter, key, granted - meter->granted, refused - meter->refused);
    meter->granted = granted;
    meter->refused = refused;
}

static void round_print(struct meter *meter, const json_t *answer)
{
    const json_t *keys = json_object_get(answer, "keys");
    size_t listed = json_array_size(keys), found = (size_t)number(answer, "key_count");
    json_int_t round = number(answer, "round"), passed = round - meter->round;

    if (passed == 0)
        return;
    if (meter->begun && passed > 1)
        output_note("what was used in %" JSON_INTEGER_FORMAT " sweeps meanwhile is not shown",
                    passed - 1);
    meter->round = round;
    for (size_t i = 0; meter->begun && i < listed; i++) {
        const json_t *key = json_array_get(keys, i);
        if (meter->owner == NULL || strcmp(meter->owner, value_text(key, "owner")) == 0)
            key_print(meter, key, number(key, "granted"), number(key, "refused"));
    }
    if (meter->begun && found > listed)
        output_note("%zu more keys were used meanwhile, each less than these; --id follows one",
                    found - listed);
}

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int meter_wait_ms(const struct meter *meter)
{
    int64_t left_ms = meter->due_ms - clock_ms();

    return left_ms > 0 ? (int)left_ms : 0;
}

static int ask(const struct meter *meter, json_t **ret_answer, struct error *error)
{
    struct session_words request = {0};
    struct session *session = NULL;
    int code = meter->id != NULL ? session_pair(&request, "KEY.GET", meter->id, error)
                                 : session_pair(&request, "USAGE.TOP", "256", error);

    if (code == 0)
        code = session_open(meter->admin_dir, &session, error);
    if (code == 0)
        code = session_ask(session, &request, ret_answer, error);
    session_close(session);
    session_words_free(&request);
    return code;
}

int meter_look(struct meter *meter, struct error *error)
{
    json_t *answer = NULL;

    if (meter_wait_ms(meter) > 0)
        return 0;
    int code = ask(meter, &answer, error);
    if (code != 0)
        return code;
    if (meter->id != NULL)
        one_print(meter, answer);
    else
        round_print(meter, answer);
    meter->begun = true;
    meter->due_ms = clock_ms() + METER_LOOK_MS;
    json_decref(answer);
    return 0;
}
