#include "stack/control.h"

#include <stdlib.h>
#include <string.h>

#include "core/result.h"
#include "core/text.h"

#define UNSET (-128)
#define JUMP_MAX 63 /* as many lines as a service can have behind one */

static const struct {
    const char *name;
    int action;
} ACTIONS[] = {
    {"ok", ACTION_OK},   {"done", ACTION_DONE},     {"bad", ACTION_BAD},
    {"die", ACTION_DIE}, {"ignore", ACTION_IGNORE}, {"reset", ACTION_RESET},
};
#define ACTION_COUNT (sizeof ACTIONS / sizeof *ACTIONS)

static bool is_result(unsigned value)
{
    return value <= CATLATCH_UNAVAILABLE || value == CATLATCH_IGNORE;
}

static const char *name_of(unsigned value)
{
    return value == CATLATCH_IGNORE ? "ignore" : result_name((enum catlatch_result)value);
}

/* Every result that was not named. */
static void fill(struct control *control, int action)
{
    for (unsigned value = 0; value < CONTROL_RESULTS; value++) {
        if (!is_result(value))
            control->actions[value] = ACTION_NONSENSE;
        else if (control->actions[value] == UNSET)
            control->actions[value] = (int16_t)action;
    }
}

static void clear(struct control *control)
{
    *control = (struct control){0};
    for (unsigned value = 0; value < CONTROL_RESULTS; value++)
        control->actions[value] = UNSET;
}

bool control_of_word(const char *word, struct control *ret_control)
{
    static const struct {
        const char *word;
        int valid, ignore, other;
    } WORDS[] = {
        {"required", ACTION_OK, ACTION_IGNORE, ACTION_BAD},
        {"requisite", ACTION_OK, ACTION_IGNORE, ACTION_DIE},
        {"sufficient", ACTION_DONE, ACTION_IGNORE, ACTION_IGNORE},
        {"optional", ACTION_OK, ACTION_IGNORE, ACTION_IGNORE},
    };

    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (strcmp(word, WORDS[i].word) != 0)
            continue;
        clear(ret_control);
        ret_control->actions[CATLATCH_VALID] = (int16_t)WORDS[i].valid;
        ret_control->actions[CATLATCH_IGNORE] = (int16_t)WORDS[i].ignore;
        ret_control->is_optional = strcmp(word, "optional") == 0;
        fill(ret_control, WORDS[i].other);
        return true;
    }
    return false;
}

static int action_parse(const char *word, int *ret_action, struct error *error)
{
    char *end;

    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(word, ACTIONS[i].name) == 0) {
            *ret_action = ACTIONS[i].action;
            return 0;
        }
    }
    if (*word < '0' || *word > '9')
        return error_set(error, CATLATCH_E_CONFIG,
                         "unknown action \"%s\"; there are ok, done, bad, die, ignore, reset, and "
                         "a number of lines to jump over",
                         word);
    unsigned long lines = strtoul(word, &end, 10);
    if (*end != '\0' || lines == 0 || lines > JUMP_MAX)
        return error_set(error, CATLATCH_E_CONFIG, "a jump of \"%s\" lines is not from 1 to %d",
                         word, JUMP_MAX);
    *ret_action = (int)lines;
    return 0;
}

/* The value of a result's name, or CONTROL_RESULTS for `default`. */
static int value_parse(const char *word, unsigned *ret_value, struct error *error)
{
    const char *names[CONTROL_RESULTS + 1], *nearest;
    size_t count = 0;

    for (unsigned value = 0; value < CONTROL_RESULTS; value++) {
        if (!is_result(value))
            continue;
        if (strcmp(word, name_of(value)) == 0) {
            *ret_value = value;
            return 0;
        }
        names[count++] = name_of(value);
    }
    if (strcmp(word, "default") == 0) {
        *ret_value = CONTROL_RESULTS;
        return 0;
    }
    names[count++] = "default";
    nearest = text_nearest(word, names, count);
    return error_set(error, CATLATCH_E_CONFIG, "\"%s\" is no result%s%s%s", word,
                     nearest != NULL ? "; did you mean \"" : ", nor ignore or default",
                     nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
}

static int pair_parse(char *word, struct control *control, int *io_default, struct error *error)
{
    char *equals = strchr(word, '=');
    unsigned value = 0;
    int action = 0;

    if (equals == NULL)
        return error_set(error, CATLATCH_E_CONFIG, "\"%s\" is no RESULT=ACTION", word);
    *equals = '\0';
    int r = value_parse(word, &value, error);
    if (r == 0)
        r = action_parse(equals + 1, &action, error);
    if (r != 0)
        return r;
    bool is_twice =
        value == CONTROL_RESULTS ? *io_default != UNSET : control->actions[value] != UNSET;
    if (is_twice)
        return error_set(error, CATLATCH_E_CONFIG, "\"%s\" is given twice", word);
    if (value == CONTROL_RESULTS)
        *io_default = action;
    else
        control->actions[value] = (int16_t)action;
    return 0;
}

int control_of_rule(char *text, struct control *ret_control, struct error *error)
{
    struct control control;
    int otherwise = UNSET;
    char *rest = NULL;

    clear(&control);
    for (char *word = strtok_r(text, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest)) {
        int r = pair_parse(word, &control, &otherwise, error);
        if (r != 0)
            return r;
    }
    fill(&control, otherwise == UNSET ? ACTION_BAD : otherwise);
    *ret_control = control;
    return 0;
}

const char *control_action_name(int action)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (ACTIONS[i].action == action)
            return ACTIONS[i].name;
    }
    return action == ACTION_NONSENSE ? "bad" : "jump";
}
