/*
 * Fuzzes rates and limits in three ways, by the first byte of the input:
 *  0  the rest is a text: of rates, of a cost. What is taken reads back, and what is refused says
 *     why and touches nothing;
 *  1  rates that nobody checked, as a record may hold them: what is not sane refuses everything;
 *  2  limits of any rates are charged, undone and scribbled on, and a plain model of each must
 * agree with every answer.
 */
#include "../unit/limit_model.h"
#include "input.h"
#include "usage/limit.h"

#define LIMITS 3u
#define OPERATIONS_MAX 200u

static void check_error(const struct error *error)
{
    CHECK(error->code == CATLATCH_E_DATA);
    CHECK(error->text[0] != '\0' && strchr(error->text, '\n') == NULL);
}

static void check_rates(struct text text)
{
    struct rates rates = {.count = 4711}, again;
    struct error error = {0};
    char shown[RATES_TEXT_SIZE], same[RATES_TEXT_SIZE];
    if (rates_parse(text, &rates, &error) != 0) {
        check_error(&error);
        CHECK(rates.count == 4711);
        return;
    }
    CHECK(error.code == 0 && rates.count > 0 && rates_are_sane(&rates));
    size_t len = rates_format(&rates, shown);
    CHECK(len == strlen(shown) && len < sizeof shown);
    CHECK(rates_parse(text_of(shown), &again, NULL) == 0 && rates_equal(&rates, &again));
    CHECK(rates_format(&again, same) == len && strcmp(shown, same) == 0);
}

static void check_cost(struct text text)
{
    uint32_t milli = 4711, again;
    struct error error = {0};
    char shown[RATE_COST_TEXT_SIZE];
    if (rate_cost_parse(text, &milli, &error) != 0) {
        check_error(&error);
        CHECK(milli == 4711);
        return;
    }
    CHECK(error.code == 0 && milli >= 1 && milli <= RATE_COST_MILLI_MAX);
    CHECK(rate_cost_format(milli, shown) == strlen(shown));
    CHECK(rate_cost_parse(text_of(shown), &again, NULL) == 0 && milli == again);
}

static void try_text(struct input *input)
{
    char *bytes = exact_copy(input->at, input->left);
    struct text text = {bytes, (uint32_t)input->left};
    check_rates(text);
    check_cost(text);
    free(bytes);
}

static void try_unchecked(struct input *input)
{
    _Atomic uint64_t word = 0;
    struct limit_charge charge;
    struct rate rate, again;
    uint64_t now;
    char shown[RATE_TEXT_SIZE];
    take_bytes(input, &rate, sizeof rate);
    take_bytes(input, &now, sizeof now);
    size_t len = rate_format(&rate, shown);
    CHECK(len == strlen(shown) && len < sizeof shown);
    bool is_sane = rate_is_sane(&rate);
    CHECK(is_sane == (rate_parse(text_of(shown), &again, NULL) == 0));
    struct limit_rule rule = limit_rule_of(&rate);
    struct limit limit = {&rule, &word};
    limits_look(&limit, 1, &charge);
    CHECK(is_sane == (limits_charge(&limit, &charge, 1000, now) == LIMIT_GRANTED));
}

/* Three limits as they are and as they should be. */
struct scene {
    struct limit_rule rules[LIMITS];
    _Atomic uint64_t words[LIMITS];
    struct limit limits[LIMITS];
    struct limit_model models[LIMITS];
    uint64_t now_ns;
};

/* Any number made of a few bits, so that inputs soon come to what is done with it. */
static uint64_t spread(uint64_t bits)
{
    bits = (bits + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (bits ^ bits >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static void open_scene(struct scene *scene, struct input *input)
{
    *scene = (struct scene){.now_ns = UINT64_C(123456789012345)};
    for (unsigned i = 0; i < LIMITS; i++) {
        uint64_t bits = take(input);
        struct rate rate = model_rate(spread(bits), spread(bits + 256));
        CHECK(rate_is_sane(&rate));
        scene->rules[i] = limit_rule_of(&rate);
        scene->limits[i] = (struct limit){&scene->rules[i], &scene->words[i]};
        scene->models[i] = model_of(&rate);
    }
}

static uint32_t take_cost(struct input *input, const struct limit_model *model)
{
    unsigned how = take(input);
    uint32_t cost;
    take_bytes(input, &cost, how % 5);
    if (how & 64)
        return (uint32_t)(model->burst_milli - 1 + how % 3);
    return how & 128 ? cost : 1000;
}

static void move_clock(struct scene *scene, struct input *input)
{
    unsigned how = take(input);
    uint64_t by;
    take_bytes(input, &by, how % 9);
    if (how & 16)
        by = (uint64_t)scene->models[how % LIMITS].unit - 1 + by % 3;
    else if (how & 32)
        by = (uint64_t)scene->models[how % LIMITS].tolerance - 1 + by % 3;
    scene->now_ns = how & 128 ? scene->now_ns - by : scene->now_ns + by;
}

/* The longest wait of some, -1: for ever. */
static wide wait_of(const struct scene *scene, unsigned count, uint32_t cost)
{
    wide longest = 0;
    for (unsigned i = 0; i < count; i++) {
        wide wait = model_wait(&scene->models[i], scene->now_ns, cost);
        if (wait < 0)
            return -1;
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

static void check_words(const struct scene *scene)
{
    for (unsigned i = 0; i < LIMITS; i++)
        CHECK(atomic_load(&scene->words[i]) == (uint64_t)scene->models[i].full_at);
}

/* What is left is left at the tightest, and no other limit has less. */
static void check_left(const struct scene *scene, const struct limit_charge *charge,
                       const struct limit_answer *answer)
{
    const struct limit_model *tightest = &scene->models[answer->tightest];
    CHECK(answer->tightest < charge->count);
    CHECK(answer->remaining_milli == model_remaining(tightest, scene->now_ns));
    CHECK(answer->remaining == answer->remaining_milli / 1000);
    CHECK(answer->reset_ms == model_ms(model_level(tightest, scene->now_ns)));
    for (unsigned i = 0; i < charge->count && charge->verdict == LIMIT_GRANTED; i++)
        CHECK(answer->remaining_milli <= model_remaining(&scene->models[i], scene->now_ns));
}

static void charge(struct scene *scene, struct input *input)
{
    struct limit_charge charge;
    struct limit_answer answer;
    struct limit_model before[LIMITS];
    unsigned how = take(input), count = 1 + how % LIMITS;
    uint32_t cost = take_cost(input, &scene->models[how / LIMITS % count]);
    wide wait = wait_of(scene, count, cost);
    memcpy(before, scene->models, sizeof before);
    limits_look(scene->limits, count, &charge);
    CHECK((limits_weigh(scene->limits, &charge, cost, scene->now_ns) == LIMIT_GRANTED) ==
          (wait == 0));
    check_words(scene);
    CHECK((limits_charge(scene->limits, &charge, cost, scene->now_ns) == LIMIT_GRANTED) ==
          (wait == 0));
    for (unsigned i = 0; i < count; i++)
        (void)(wait == 0 ? model_take(&scene->models[i], scene->now_ns, cost)
                         : model_look(&scene->models[i], scene->now_ns));
    check_words(scene);
    limits_answer(scene->limits, &charge, &answer);
    check_left(scene, &charge, &answer);
    CHECK(answer.retry_after_ms == (wait < 0 ? LIMIT_NEVER : model_ms(wait)));
    if ((how & 64) == 0)
        return;
    CHECK(limits_undo(scene->limits, &charge) == 0);
    if (wait == 0)
        memcpy(scene->models, before, sizeof before);
    check_words(scene);
}

static void scribble(struct scene *scene, struct input *input)
{
    unsigned i = take(input) % LIMITS, how = take(input);
    uint64_t word;
    take_bytes(input, &word, how % 9);
    if (how & 64)
        word += scene->now_ns + (how & 128 ? scene->rules[i].tolerance_ns : 0);
    atomic_store(&scene->words[i], word);
    scene->models[i].full_at = (wide)word;
}

static void try_limits(struct input *input)
{
    struct scene scene;
    open_scene(&scene, input);
    for (unsigned n = 0; n < OPERATIONS_MAX && input->left > 0; n++) {
        unsigned what = take(input) % 8;
        if (what < 5)
            charge(&scene, input);
        else if (what < 7)
            move_clock(&scene, input);
        else
            scribble(&scene, input);
        check_words(&scene);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct input input = {data + 1, size - 1};
    if (data[0] % 3 == 0)
        try_text(&input);
    else if (data[0] % 3 == 1)
        try_unchecked(&input);
    else
        try_limits(&input);
    return 0;
}
