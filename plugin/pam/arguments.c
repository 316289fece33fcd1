#include "plugin/pam/arguments.h"

#include <string.h>

#include "core/text.h"

/* The words of a line, as bits: each is said once at most. */
enum word {
    WORD_CONFIG,
    WORD_SERVICE,
    WORD_SCOPE,
    WORD_OWNER,
    WORD_MAP,
    WORD_ALLOW_ROOT,
    WORD_USE_FIRST_PASS,
    WORD_TRY_FIRST_PASS,
    WORD_DEBUG,
    WORD_COUNT,
};

static const struct {
    const char *name;
    bool has_value;
} WORDS[WORD_COUNT] = {
    [WORD_CONFIG] = {"config", true},
    [WORD_SERVICE] = {"service", true},
    [WORD_SCOPE] = {"scope", true},
    [WORD_OWNER] = {"owner", true},
    [WORD_MAP] = {"map", true},
    [WORD_ALLOW_ROOT] = {"allow_root", false},
    [WORD_USE_FIRST_PASS] = {"use_first_pass", false},
    [WORD_TRY_FIRST_PASS] = {"try_first_pass", false},
    [WORD_DEBUG] = {"debug", false},
};

struct arguments arguments_default(void)
{
    return (struct arguments){.scope = ARGUMENTS_SCOPE};
}

static int refuse_unknown(const char *argument, struct error *error)
{
    const char *names[WORD_COUNT];
    char name[64];
    size_t len = strcspn(argument, "=");

    for (unsigned i = 0; i < WORD_COUNT; i++)
        names[i] = WORDS[i].name;
    if (len >= sizeof name)
        len = sizeof name - 1;
    memcpy(name, argument, len);
    name[len] = '\0';
    const char *nearest = text_nearest(name, names, WORD_COUNT);
    if (nearest == NULL)
        return error_set(error, CATLATCH_E_CONFIG, "unknown argument \"%s\"", name);
    return error_set(error, CATLATCH_E_CONFIG, "unknown argument \"%s\"; did you mean \"%s\"?",
                     name, nearest);
}

/* WORD_COUNT: none of ours. */
static enum word word_of(const char *argument)
{
    size_t len = strcspn(argument, "=");
    unsigned i = 0;

    while (i < WORD_COUNT &&
           (strlen(WORDS[i].name) != len || memcmp(WORDS[i].name, argument, len) != 0))
        i++;
    return (enum word)i;
}

static int take_path(const char *name, const char *value, const char **ret_path,
                     struct error *error)
{
    /* The folder that a program was started in is its caller's choice. */
    if (value[0] != '/')
        return error_set(error, CATLATCH_E_CONFIG, "%s=%s: a path that begins with / is wanted",
                         name, value);
    *ret_path = value;
    return 0;
}

static int take_owner(const char *value, struct arguments *arguments, struct error *error)
{
    if (strcmp(value, "user") != 0)
        return error_set(error, CATLATCH_E_CONFIG,
                         "owner=%s: there is owner=user; map=FILE says otherwise whose keys open "
                         "whom",
                         value);
    arguments->map = NULL;
    return 0;
}

static int take_scope(const char *value, struct arguments *arguments, struct error *error)
{
    if (!text_is_scope(value, strlen(value)))
        return error_set(error, CATLATCH_E_CONFIG,
                         "scope=%s: a scope is 1 to 64 printable characters without blanks, quotes "
                         "and backslashes",
                         value);
    arguments->scope = value;
    return 0;
}

static int take(enum word word, const char *value, struct arguments *arguments, struct error *error)
{
    switch (word) {
    case WORD_CONFIG:
        return take_path("config", value, &arguments->config, error);
    case WORD_SERVICE:
        arguments->service = value;
        return 0;
    case WORD_SCOPE:
        return take_scope(value, arguments, error);
    case WORD_OWNER:
        return take_owner(value, arguments, error);
    case WORD_MAP:
        return take_path("map", value, &arguments->map, error);
    case WORD_ALLOW_ROOT:
        arguments->allow_root = true;
        return 0;
    case WORD_USE_FIRST_PASS:
        arguments->use_first_pass = true;
        return 0;
    case WORD_TRY_FIRST_PASS:
        arguments->try_first_pass = true;
        return 0;
    case WORD_DEBUG:
        arguments->debug = true;
        return 0;
    case WORD_COUNT:
        break;
    }
    return error_set(error, CATLATCH_E_ARGUMENT, "no such word");
}

static int read_one(const char *argument, unsigned *io_given, struct arguments *arguments,
                    struct error *error)
{
    enum word word = word_of(argument);
    const char *equals = strchr(argument, '=');

    if (word == WORD_COUNT)
        return refuse_unknown(argument, error);
    if (WORDS[word].has_value && (equals == NULL || equals[1] == '\0'))
        return error_set(error, CATLATCH_E_CONFIG, "%s= wants a value", WORDS[word].name);
    if (!WORDS[word].has_value && equals != NULL)
        return error_set(error, CATLATCH_E_CONFIG, "%s takes no value", WORDS[word].name);
    if ((*io_given >> word & 1) != 0)
        return error_set(error, CATLATCH_E_CONFIG, "%s is given twice", WORDS[word].name);
    *io_given |= 1u << word;
    return take(word, equals != NULL ? equals + 1 : "", arguments, error);
}

static int refuse_both(unsigned given, enum word a, enum word b, struct error *error)
{
    if ((given >> a & 1) == 0 || (given >> b & 1) == 0)
        return 0;
    return error_set(error, CATLATCH_E_CONFIG, "%s and %s contradict each other; keep one",
                     WORDS[a].name, WORDS[b].name);
}

int arguments_read(int argc, const char **argv, struct arguments *arguments, struct error *error)
{
    struct arguments fresh = *arguments;
    unsigned given = 0;
    int r = 0;

    for (int i = 0; r == 0 && i < argc; i++)
        r = read_one(argv[i], &given, &fresh, error);
    if (r == 0)
        r = refuse_both(given, WORD_OWNER, WORD_MAP, error);
    if (r == 0)
        r = refuse_both(given, WORD_USE_FIRST_PASS, WORD_TRY_FIRST_PASS, error);
    if (r == 0)
        *arguments = fresh;
    return r;
}
