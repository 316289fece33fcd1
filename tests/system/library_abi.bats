#!/usr/bin/env bats
# What libcatlatch.so is to the programs that load it: its names, what it brings along, and that it
# leaves nothing of its own in the process.

setup() {
    library=$CATLATCH_BUILD/libcatlatch.so.0
    source_dir=$BATS_TEST_DIRNAME/../..
}

is_sanitized() {
    nm "$library" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_'
}

@test "the library exports the functions of catlatch.h and nothing else" {
    expected=$(sed -n 's/^    \(catlatch_[a-z_]*\);$/\1/p' "$source_dir/src/lib/libcatlatch.map" | sort)
    exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
    [ -n "$expected" ]
    diff <(echo "$expected") <(echo "$exported")
}

@test "every function that catlatch.h declares is exported" {
    declared=$(grep -oE '\bcatlatch_[a-z_]+\(' "$source_dir/src/include/catlatch.h" | tr -d '(' | sort -u)
    for name in $declared; do
        nm -D --defined-only "$library" | grep -q " $name@@CATLATCH_0$"
    done
}

@test "it names itself libcatlatch.so.0" {
    readelf -d "$library" | grep -q 'SONAME.*\[libcatlatch\.so\.0\]'
}

@test "it needs libc, libcrypto and inih alone" {
    is_sanitized && skip "the sanitizers' runtimes are needed as well"
    needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^ld-linux' | sort)
    [ "$(echo "$needed" | sed 's/\.so.*//' | tr '\n' ' ')" = "libc libcrypto libinih " ]
}

locks=' (pthread_(mutex|rwlock|spin|cond|barrier|once)[a-z_]*|(sem|mtx|cnd)_[a-z]+|call_once|flock|lockf|__cxa_guard_acquire)(@|$)'

@test "it asks libc for no lock but that of the loaded modules, which opening a handle takes" {
    [ "$(nm -D --undefined-only "$library" | grep -E "$locks" | sed 's/.* U //; s/@.*//' | tr '\n' ' ')" = \
        'pthread_mutex_lock pthread_mutex_unlock ' ]
    for object in "$CATLATCH_BUILD"/src/{core,table,stack,lib}/*.o; do
        [[ $object == */stack/registry.o ]] || ! nm -u "$object" | grep -E "$locks"
    done
}

@test "it asks libc for no log, environment, signal handler, exit or thread" {
    ! nm -D --undefined-only "$library" |
        grep -E ' (getenv|secure_getenv|setenv|syslog|vsyslog|openlog|perror|warn|err|signal|sigaction|exit|_exit|abort|fork|pthread_create|pthread_key_create)(@|$)'
}

@test "its objects hold no writable data and none that belongs to a thread" {
    is_sanitized && skip "the sanitizers add data of their own"
    found=0
    for object in "$CATLATCH_BUILD"/src/{core,table,stack,lib}/*.o; do
        [[ $object != */stack/registry.o ]] || continue # the one register of loaded modules
        found=$((found + 1))
        size -A "$object" | awk -v object="$object" '
            $1 ~ /^\.(data|bss|tdata|tbss)/ && $1 !~ /^\.data\.rel\.ro/ && $2 > 0 {
                print object ": " $1 " of " $2 " bytes"; bad = 1
            }
            END { exit bad }'
    done
    [ "$found" -gt 10 ]
}

@test "a program builds against the header and the library by their public names alone" {
    is_sanitized && skip "the program would have to be sanitized too"
    cat >"$BATS_TEST_TMPDIR/program.c" <<'C'
#include <catlatch.h>
#include <stdio.h>
int main(void)
{
    puts(catlatch_result_name(CATLATCH_REVOKED));
    return catlatch_open(NULL, NULL, NULL, 0) == CATLATCH_E_ARGUMENT ? 0 : 1;
}
C
    for compiler in "cc -std=c11 -pedantic-errors -Wall -Wextra -Werror" "c++ -x c++ -Wall -Wextra -Werror"; do
        command -v "${compiler%% *}" >/dev/null || continue
        $compiler -I"$source_dir/src/include" "$BATS_TEST_TMPDIR/program.c" -o "$BATS_TEST_TMPDIR/program" \
            -L"$CATLATCH_BUILD" -lcatlatch -Wl,-rpath,"$CATLATCH_BUILD"
        run "$BATS_TEST_TMPDIR/program"
        [ "$status" -eq 0 ]
        [ "$output" = revoked ]
    done
}
