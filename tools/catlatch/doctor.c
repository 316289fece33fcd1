#include "doctor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Two paths of ordinary length and a sentence. */
#define TEXT_SIZE 1024

#define PING_TIMEOUT_S 5

static const char *const result_names[DOCTOR_RESULTS] = {
    [DOCTOR_OK] = "ok",           [DOCTOR_NOTE] = "note",       [DOCTOR_WARNING] = "warning",
    [DOCTOR_PROBLEM] = "problem", [DOCTOR_SKIPPED] = "skipped",
};

/* Paths and names of processes are whatever bytes somebody chose: they become one line of UTF-8. */
static json_t *text_value(char *text)
{
    json_t *value;

    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    value = json_string(text);
    if (value != NULL)
        return value;
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(text);
}

void doctor_say(struct doctor *doctor, enum doctor_result result, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    json_t *finding;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    finding = json_pack("{ss ss so sn}", "check", doctor->check, "result", result_names[result],
                        "text", text_value(text), "mend");
    if (finding == NULL || json_array_append_new(doctor->findings, finding) != 0)
        doctor->out_of_memory = true;
}

void doctor_mend(struct doctor *doctor, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    size_t count = json_array_size(doctor->findings);

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (count == 0 || json_object_set_new(json_array_get(doctor->findings, count - 1), "mend",
                                          text_value(text)) != 0)
        doctor->out_of_memory = true;
}

void doctor_say_error(struct doctor *doctor, enum doctor_result result, const struct error *error,
                      const char *mend)
{
    static const char sign[] = "; run ";
    const char *found = NULL;

    for (const char *at = error->text; (at = strstr(at, sign)) != NULL; at++)
        found = at;
    doctor_say(doctor, result, "%.*s",
               (int)(found != NULL ? (size_t)(found - error->text) : strlen(error->text)),
               error->text);
    if (found != NULL)
        doctor_mend(doctor, "%s", found + sizeof sign - 1);
    else if (mend != NULL)
        doctor_mend(doctor, "%s", mend);
}

bool doctor_is_clean(const struct doctor *doctor)
{
    for (size_t i = 0; i < json_array_size(doctor->findings); i++) {
        const json_t *finding = json_array_get(doctor->findings, i);
        if (strcmp(json_string_value(json_object_get(finding, "check")), doctor->check) == 0)
            return false;
    }
    return true;
}

json_int_t doctor_stat(const struct doctor *doctor, const char *name)
{
    return json_integer_value(json_object_get(doctor->stats, name));
}

const char *doctor_user_name(uid_t uid)
{
    static char number[24];
    const struct passwd *user = getpwuid(uid);

    snprintf(number, sizeof number, "%u", (unsigned)uid);
    return user != NULL ? user->pw_name : number;
}

const char *doctor_group_name(gid_t gid)
{
    static char number[24];
    const struct group *group = getgrgid(gid);

    snprintf(number, sizeof number, "%u", (unsigned)gid);
    return group != NULL ? group->gr_name : number;
}

bool doctor_run_path(const struct doctor *doctor, const char *name, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s", doctor->config->run_dir, name);

    return len > 0 && len < PATH_MAX;
}

static int socket_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = PING_TIMEOUT_S};
    int fd, errnum;

    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        errnum = errno;
        close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

int doctor_ping(const char *path, char *ret_line, size_t size)
{
    int fd = -1, errnum = socket_connect(path, &fd);
    size_t len = 0;
    ssize_t n = 1;

    if (errnum != 0)
        return errnum;
    /* A peer without any right is told so before it said a word: then nobody reads the PING. */
    (void)send(fd, "*1\r\n$4\r\nPING\r\n", 14, MSG_NOSIGNAL);
    while (n > 0 && len + 1 < size && memchr(ret_line, '\n', len) == NULL) {
        n = read(fd, ret_line + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0 && len == 0)
        errnum = errno == EAGAIN || errno == EWOULDBLOCK ? ETIMEDOUT : errno;
    else if (len == 0)
        errnum = ECONNRESET;
    close(fd);
    ret_line[len] = '\0';
    ret_line[strcspn(ret_line, "\r\n")] = '\0';
    return errnum;
}
