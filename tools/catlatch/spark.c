#include "spark.h"

#include <langinfo.h>
#include <stdbool.h>
#include <string.h>

#define LEVELS 8u

/* None, then the eighths. */
static const char *const blocks[LEVELS + 1] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const letters[LEVELS + 1] = {".", "_", "-", ":", "=", "+", "*", "%", "#"};

static bool is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Whatever is more than none is seen. */
static unsigned level_of(uint64_t number, uint64_t most)
{
    if (number == 0)
        return 0;
    unsigned level = (unsigned)((double)number / (double)most * LEVELS + 0.5);
    if (level < 1)
        return 1;
    return level < LEVELS ? level : LEVELS;
}

size_t spark_together(size_t count, size_t width)
{
    if (width > SPARK_WIDTH_MAX)
        width = SPARK_WIDTH_MAX;
    return width > 0 && count > width ? (count + width - 1) / width : 1;
}

uint64_t spark_draw(const uint64_t *numbers, size_t count, size_t width, char ret_text[SPARK_SIZE])
{
    size_t together = spark_together(count, width), bars = (count + together - 1) / together;
    uint64_t sums[SPARK_WIDTH_MAX] = {0}, most = 0;
    const char *const *marks = is_utf8() ? blocks : letters;
    char *end = ret_text;

    if (bars > SPARK_WIDTH_MAX) /* a width of nothing */
        bars = 0;
    for (size_t i = 0; i < count && i / together < bars; i++)
        sums[i / together] += numbers[i];
    for (size_t i = 0; i < bars; i++)
        most = sums[i] > most ? sums[i] : most;
    *end = '\0';
    for (size_t i = 0; i < bars; i++)
        end = stpcpy(end, marks[level_of(sums[i], most)]);
    return most;
}
