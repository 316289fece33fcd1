#!/usr/bin/env bats
# What `make install` puts where, that it works from there, and that pages, completions, units and
# users say what the programs and the configuration say.

load ../cli/lib
load process
load copy

root=$BATS_TEST_DIRNAME/../..

# One tree under a prefix of one's own, where a user's group can write what he makes, as on Ubuntu;
# one of the whole system's in a DESTDIR, by somebody whose files nobody else can read. The first is
# unoptimised, which is quick to build and makes no difference here; the second is of what was built
# already.
setup_file() {
    is_plain_build || return 0
    export base=$BATS_FILE_TMPDIR/install
    mkdir -m 755 "$base" "$base/source"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || true
    tar -C "$BATS_TEST_DIRNAME/../.." -cf - --exclude=./build --exclude-vcs . | tar -C "$base/source" -xf -
    chmod -R g+w "$base/source"
    prefix=$base/home/latch
    mkdir "$base/home"
    as=
    if [ "$(id -u)" -eq 0 ]; then
        # Not root, and a user that owns nothing else.
        as="setpriv --reuid=daemon --regid=daemon --clear-groups --inh-caps=-all"
        chown -R daemon:daemon "$base/source" "$base/home"
    fi
    export prefix as
    (umask 002; $as env HOME="$base/home" make -s -j2 -C "$base/source" install BUILD=build OPT=-O0 PREFIX="$prefix") >&2 3>&-
    mkdir "$base/system"
    (umask 077; copy_build "$base/system" --no-same-permissions)
    (umask 077; make -s -j2 -C "$BATS_TEST_DIRNAME/../.." install BUILD="$base/system" DESTDIR="$base/dest" PREFIX=/usr/local) >&2 3>&-
}

setup() {
    is_plain_build || skip "installed once, from the plain build"
    dest=$base/dest/usr/local
    dir=$BATS_TEST_TMPDIR
    daemon_pid=
    unset CATLATCH_CONFIG
}

teardown() {
    [ -z "${gunicorn_pid:-}" ] || kill "$gunicorn_pid" || true
    stop_daemon KILL
    case $dir in */catlatch-cli.*) rm -rf "$dir" ;; esac
}

@test "under a prefix of one's own, without root: daemon, tool and library work from there" {
    cd "$base/home"
    [ -z "$(find . ! -user "$($as id -u)")" ]
    [ ! -e "$prefix/lib/systemd" ] && [ ! -e "$prefix/lib/sysusers.d" ]
    PATH=$prefix/bin:$prefix/sbin:$PATH
    daemon_log=$base/home/log
    $as catlatchd 2>"$daemon_log" 3>&- &
    daemon_pid=$!
    until_true grep -q 'ready: ' "$daemon_log"
    $as catlatch create --name own --quiet >"$dir/key"
    [ "$(stat -c %a "$prefix/var/lib/catlatch")" = 700 ]
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    [ "$(pkg-config --modversion catlatch)" = "$(catlatch --version | cut -d' ' -f2)" ]
    $as cc -Wall -Werror "$base/source/tests/system/verify_once.c" -o worker $(pkg-config --cflags --libs catlatch) \
        -Wl,-rpath,"$prefix/lib"
    readelf -d worker | grep -q 'libcatlatch.so.0'
    [ "$($as ./worker "$prefix/etc/catlatch/catlatch.ini" <"$dir/key")" = valid ]
    $as catlatch revoke --key-stdin --yes <"$dir/key"
    [ "$($as ./worker "$prefix/etc/catlatch/catlatch.ini" <"$dir/key")" = revoked ]
}

# Does what a page tells a new user to do, as such a user, with a umask of 002.
recipe() { # [-s] PAGE [HEADING]
    cd "$base/source"
    (umask 002; $as env HOME="$base/home" OPT=-O0 MAKEFLAGS=-sj2 "$BATS_TEST_DIRNAME/../recipe" "$@") 3>&-
}

@test "the README's tour can be taken as it is written, whoever can write the clone" {
    PATH=$prefix/bin:$prefix/sbin:$PATH
    $as catlatchd 2>"$dir/log" 3>&- &
    daemon_pid=$!
    until_true grep -q 'ready: ' "$dir/log"
    $as catlatch create --name leaked --quiet | $as tee "$base/source/leaked.txt" >/dev/null
    stop_daemon
    recipe -s README.md 'A tour in five minutes'
}

@test "the guide to a verifier of one's own can be followed as it is written" {
    recipe plugin/example/README.md
    [ ! -e "$prefix/lib/catlatch/hours.so" ]
}

@test "the README's Python examples work from the prefix as they are written" {
    [ -x /usr/bin/gunicorn ] || skip "gunicorn is not here (make deps)"
    cd "$base/home"
    PATH=/usr/bin:$prefix/bin:$prefix/sbin:$PATH
    $as catlatchd 2>"$dir/log" 3>&- &
    daemon_pid=$!
    until_true grep -q 'ready: ' "$dir/log"
    $as catlatch create --name own --owner acme --scope orders:read --quiet >"$dir/key"
    readme_code 'Python: WSGI and ASGI' python 1 | $as tee app.py >/dev/null
    readme_code 'Python: WSGI and ASGI' python 2 >"$dir/verify.py"
    # What ldconfig would have done for /usr/local.
    command=$(readme_code 'Python: WSGI and ASGI' sh | sed -n 's/^gunicorn //p')
    umask 022 # Python compiles what it imports
    $as env -u PYTHONDONTWRITEBYTECODE LD_LIBRARY_PATH="$prefix/lib" \
        gunicorn ${command//\/usr\/local/$prefix} >"$dir/said" 2>&1 3>&- &
    gunicorn_pid=$!
    ask() { curl -s --unix-socket app.sock -w ' %{http_code}' -H @- http://x/ <<<"Authorization: Bearer $(cat "$dir/key")"; }
    until_true ask
    [ "$(ask)" = $'hello acme\n 200' ]
    verify() { $as env LD_LIBRARY_PATH="$prefix/lib" PYTHONPATH="$prefix/lib/python3/dist-packages" python3 -c "$(cat "$dir/verify.py")"; }
    [ "$(verify <"$dir/key")" = 'valid acme' ]
    $as catlatch revoke --key-stdin --yes <"$dir/key"
    [[ $(ask) == *invalid_api_key*' 401' ]]
    [ "$(verify <"$dir/key")" = 'revoked acme' ]
    kill "$gunicorn_pid"
    wait "$gunicorn_pid"
    gunicorn_pid=
}

@test "what is installed has the same modes whatever the umask, and modules are believed" {
    for tree in "$prefix" "$base/dest"; do
        [ -z "$(find "$tree" -path "$prefix/var/*/*" -prune -o ! -type l \
            ! \( -type d -perm 755 \) ! \( -type f -perm 644 \) \
            ! \( -type f -perm 755 -path '*/*bin/*' \) -print | tee /dev/stderr)" ]
    done
    $as "$prefix/bin/catlatch" -c "$prefix/etc/catlatch/catlatch.ini" configtest
}

@test "a second install keeps the configuration; uninstall keeps it too, and the keys, and nothing else" {
    echo '# mine' | $as tee -a "$prefix/etc/catlatch/catlatch.ini" >/dev/null
    $as make -s -C "$base/source" install BUILD=build OPT=-O0 PREFIX="$prefix" 3>&-
    [ "$(tail -n 1 "$prefix/etc/catlatch/catlatch.ini")" = '# mine' ]
    $as make -s -C "$base/source" uninstall BUILD=build OPT=-O0 PREFIX="$prefix" 3>&-
    [ "$(cd "$prefix" && find . ! -type d ! -path './var/*')" = ./etc/catlatch/catlatch.ini ]
}

@test "DESTDIR takes everything, and the system's files name the folders of the prefix" {
    (cd "$base/dest" && find . ! -type d | sort) >"$dir/files"
    version=$(sed -n 's/^VERSION := //p' "$root/Makefile")
    diff "$dir/files" - <<FILES
./usr/local/bin/catlatch
./usr/local/bin/catlatch-bench
./usr/local/etc/catlatch/catlatch.ini
./usr/local/include/catlatch.h
./usr/local/include/catlatch_module.h
./usr/local/lib/apache2/modules/mod_catlatch.so
./usr/local/lib/catlatch/address.so
./usr/local/lib/catlatch/audit.so
./usr/local/lib/catlatch/debug.so
./usr/local/lib/catlatch/deny.so
./usr/local/lib/catlatch/environment.so
./usr/local/lib/catlatch/file.so
./usr/local/lib/catlatch/format.so
./usr/local/lib/catlatch/limit.so
./usr/local/lib/catlatch/permit.so
./usr/local/lib/catlatch/scope.so
./usr/local/lib/catlatch/socket.so
./usr/local/lib/catlatch/table.so
./usr/local/lib/libcatlatch.so
./usr/local/lib/libcatlatch.so.0
./usr/local/lib/libcatlatch.so.$version
./usr/local/lib/nginx/modules/ngx_http_catlatch_module.so
./usr/local/lib/node_modules/catlatch/catlatch.node
./usr/local/lib/node_modules/catlatch/index.d.ts
./usr/local/lib/node_modules/catlatch/index.js
./usr/local/lib/node_modules/catlatch/package.json
./usr/local/lib/php/$(basename "$(php-config --extension-dir)")/catlatch.so
./usr/local/lib/pkgconfig/catlatch.pc
./usr/local/lib/python3/dist-packages/catlatch/__init__.py
./usr/local/lib/python3/dist-packages/catlatch/abi.py
./usr/local/lib/python3/dist-packages/catlatch/access.py
./usr/local/lib/python3/dist-packages/catlatch/answer.py
./usr/local/lib/python3/dist-packages/catlatch/asgi.py
./usr/local/lib/python3/dist-packages/catlatch/latch.py
./usr/local/lib/python3/dist-packages/catlatch/py.typed
./usr/local/lib/python3/dist-packages/catlatch/wsgi.py
./usr/local/lib/security/pam_catlatch.so
./usr/local/lib/systemd/system/catlatch-backup.service
./usr/local/lib/systemd/system/catlatch-backup.timer
./usr/local/lib/systemd/system/catlatch-keeper.service
./usr/local/lib/systemd/system/catlatchd.service
./usr/local/lib/systemd/system/catlatchd.socket
./usr/local/lib/systemd/system/run-catlatch.mount
./usr/local/lib/sysusers.d/catlatch.conf
./usr/local/lib/tmpfiles.d/catlatch.conf
./usr/local/sbin/catlatch-keeper
./usr/local/sbin/catlatchd
./usr/local/share/bash-completion/completions/catlatch
./usr/local/share/doc/catlatch/apache.conf
./usr/local/share/doc/catlatch/catlatch.load
./usr/local/share/doc/catlatch/catlatch.stub.php
./usr/local/share/doc/catlatch/nginx.conf
./usr/local/share/doc/catlatch/php.ini
./usr/local/share/fish/vendor_completions.d/catlatch.fish
./usr/local/share/man/man1/catlatch-bench.1
./usr/local/share/man/man1/catlatch.1
./usr/local/share/man/man3/libcatlatch.3
./usr/local/share/man/man5/catlatch.ini.5
./usr/local/share/man/man7/catlatch-modules.7
./usr/local/share/man/man8/catlatch-keeper.8
./usr/local/share/man/man8/catlatchd.8
./usr/local/share/man/man8/pam_catlatch.8
./usr/local/share/zsh/site-functions/_catlatch
FILES
    grep -qx 'ExecStart=/usr/local/sbin/catlatchd' "$dest/lib/systemd/system/catlatchd.service"
    run ! grep -rnE '@[A-Z]+@' "$dest/lib/systemd" "$dest"/lib/*.d "$dest/share/man" "$dest/lib/pkgconfig"
    grep -qF '/usr/local/etc/catlatch/catlatch' "$dest/share/man/man5/catlatch.ini.5"
    run ! grep -rlF "$base" "$base/dest/usr/local"/{etc,lib/pkgconfig,lib/systemd,share}
}

@test "units, users and configuration agree" {
    units=$dest/lib/systemd/system ini=$dest/etc/catlatch/catlatch.ini
    user=$(sed -n 's/^user = //p' "$ini")
    [ "$user" = "$(sed -n 's/^User=//p' "$units/catlatchd.service")" ]
    [ "$user" = "$(sed -n 's/^SocketUser=//p' "$units/catlatchd.socket")" ]
    grep -q "^u $user " "$dest/lib/sysusers.d/catlatch.conf"
    # The groups of [access]; a user's own group comes with it.
    for group in $(sed -n '/^\[access\]/,/^\[env/s/^;[a-z]* = //p' "$ini" | grep -o '@[a-z-]*' | tr -d @); do
        grep -qE "^[ug] $group " "$dest/lib/sysusers.d/catlatch.conf"
    done
    run_dir=$(sed -n 's/^;run_dir = //p' "$ini") admin_dir=$(sed -n 's/^;admin_dir = //p' "$ini")
    [ "$(sed -n 's/^ListenStream=//p' "$units/catlatchd.socket")" = "$run_dir/catlatch.sock"$'\n'"$admin_dir/catlatch.sock" ]
    [ "$(sed -n 's|^RuntimeDirectory=||p' "$units/catlatchd.service")" = "${run_dir#/run/} ${admin_dir#/run/}" ]
    [ "$(sed -n 's|^RuntimeDirectory=||p' "$units/catlatch-keeper.service")" = "${run_dir#/run/}" ]
    # Who holds the memory is who made the table, for the same group.
    for setting in User Group RuntimeDirectoryMode RuntimeDirectoryPreserve; do
        [ "$(grep "^$setting=" "$units/catlatch-keeper.service")" = "$(grep "^$setting=" "$units/catlatchd.service")" ]
    done
    [ "$(sed -n 's/^Where=//p' "$units/run-catlatch.mount")" = "$run_dir" ]
    for folder in "$run_dir" "$admin_dir"; do
        grep -qE "^d $folder +0755 $user $user -" "$dest/lib/tmpfiles.d/catlatch.conf"
    done
}

need_systemd_analyze() {
    command -v systemd-analyze >/dev/null || skip "systemd-analyze is not here (package systemd)"
}

@test "systemd accepts the units, and finds the service well shut in" {
    need_systemd_analyze
    mkdir "$dir/units"
    cp "$dest"/lib/systemd/system/* "$dir/units/"
    sed -i 's/\/usr\/local\/s\?bin\/catlatch\(d\|-keeper\)\?/\/bin\/true/' "$dir"/units/catlatch{d,-keeper}.service
    run systemd-analyze verify --man=no "$dir"/units/*
    expect_status 0
    [ -z "$output" ]
    for unit in catlatchd catlatch-keeper; do
        systemd-analyze security --offline=true --no-pager --threshold=10 "$dir/units/$unit.service" | tail -n 1
    done
    # Peers would all be uid 65534, and a start would not know the boot.
    run ! grep -E '^(PrivateUsers=(yes|true)|ProcSubset=pid|DynamicUser)' "$dir/units/catlatchd.service"
    run ! grep -E '^(PrivateUsers=(yes|true)|DynamicUser)' "$dir/units/catlatch-keeper.service"
}

@test "the daemon calls nothing that the unit's filter forbids" {
    need_systemd_analyze
    command -v strace >/dev/null || skip "strace is not here"
    open_folder </dev/null
    # As by systemd, which starts the keeper too.
    strace -f -qq -o "$dir/calls" -e signal=none \
        bash -c 'SYSTEMD_EXEC_PID=$$ exec catlatchd' 2>"$dir/log" 3>&- &
    tracer=$!
    until_true grep -q 'ready: ' "$dir/log"
    daemon_pid=$(head -n 1 "$dir/state/lock")
    make_key traced
    catlatch revoke "$id" --yes
    catlatch reload
    kill "$daemon_pid"
    wait "$tracer"
    daemon_pid=
    filter() { systemd-analyze syscall-filter --no-pager "$@"; }
    members() { # SET: the names in it, and in the sets in it
        local name
        filter "$1" 2>/dev/null | sed -n 's/^ \+\([@a-z0-9_-]*\).*/\1/p' | while read -r name; do
            if [[ $name = @* ]]; then members "$name"; else echo "$name"; fi
        done
    }
    { members @default; members @system-service; } | sort -u >"$dir/allowed"
    { members @privileged; members @resources; } | sort -u | comm -23 "$dir/allowed" - >"$dir/kept"
    awk '{ sub(/^[0-9]+ +/, ""); sub(/^<\.\.\. /, "") } match($0, /^[a-z0-9_]+/) { print substr($0, 1, RLENGTH) }' \
        "$dir/calls" | sort -u >"$dir/called"
    [ "$(wc -l <"$dir/called")" -gt 20 ]
    comm -23 "$dir/called" "$dir/kept" | tee "$dir/forbidden"
    [ ! -s "$dir/forbidden" ]
}

@test "mandoc has nothing against the pages" {
    command -v mandoc >/dev/null || skip "mandoc is not here"
    for page in "$dest"/share/man/man?/*; do
        run mandoc -Tlint "$page"
        expect_status 0
        [ -z "$output" ]
        # Every page that is referred to is one of ours, or well known.
        mandoc -Tascii "$page" | col -b | grep -oE '[a-z_.-]+\([0-9]\)' | sort -u | while read -r name; do
            case $name in
            sd_notify* | sd_listen_fds* | 'pam(8)' | 'pam.d(5)' | 'journalctl(1)') ;;
            *) [ -e "$dest/share/man/man${name: -2:1}/${name%(*}.${name: -2:1}" ] ;;
            esac
        done
    done
}

# The options that a part of catlatch(1) explains, and those that help shows under a title.
page_options() { # HEADING
    awk -v heading="$1" '/^#/ { inside = $0 == heading; next } inside && /^\*-/' "$root/etc/man/catlatch.1.scd" |
        grep -oE '^\*-(-[a-z-]+|[a-zA-Z]\*, \*--[a-z-]+)' | grep -oE -- '--[a-z-]+' | sort
}

help_options() { # TITLE, help on stdin
    awk -v title="$1" '/:$/ { inside = index($0, title) == 1; next } inside' | sed -nE 's/^  (-[a-zA-Z],|   ) (--[a-z-]+).*/\2/p' | sort
}

@test "catlatch(1) explains every command and option, and none that is not there" {
    tool=$base/dest/usr/local/bin/catlatch page=$root/etc/man/catlatch.1.scd
    commands=$("$tool" | sed -n 's/^  \([a-z]\+\( [a-z]\+\)\?\)  .*/\1/p')
    [ "$(wc -l <<<"$commands")" -ge 17 ]
    diff <(sort <<<"$commands") <(awk '/^# / { inside = $0 == "# COMMANDS" } inside && sub(/^## /, "")' "$page" | sort)
    diff <("$tool" list --help | help_options Always) <(page_options '# GENERAL OPTIONS')
    while read -r command; do
        "$tool" $command --help >"$dir/help"
        grep -qF "*catlatch $command*" "$page"
        own=$(help_options Options <"$dir/help")
        if grep -q '^Which keys' "$dir/help" && ! grep -q -- ' --key-stdin ' "$dir/help"; then
            # One or two conditions, not the selection.
            own=$({ help_options 'Which keys' <"$dir/help"; echo "$own"; } | sort)
        elif grep -q '^Which keys' "$dir/help"; then
            # What all of these share stands in one place.
            diff <({ help_options 'Which keys' <"$dir/help"; printf '%s\n' --dry-run --yes; } | sort) \
                <(page_options '# SELECTION OPTIONS')
            own=$(grep -vxE -- '--(dry-run|yes)' <<<"$own" || true)
        fi
        diff <(echo "$own") <(page_options "## $command" | grep . || echo)
    done <<<"$commands"
}

@test "catlatchd(8) and catlatch-keeper(8) have every option and exit status, libcatlatch(3) every function, catlatch.ini(5) every key" {
    for program in catlatchd catlatch-keeper; do
        "$base/dest/usr/local/sbin/$program" --help >"$dir/help"
        diff <(grep -oE -- '--[a-z-]+' "$dir/help" | sort -u) <(grep -oE '^\*-.*' "$root/etc/man/$program.8.scd" | grep -oE -- '--[a-z-]+' | sort -u)
        diff <(sed -n '/^Exit status/,$p' "$dir/help" | tr '\n' ' ' | grep -oE '\b[0-9]+\b' | sort -u) \
            <(grep -oE '^\*[0-9]+\*$' "$root/etc/man/$program.8.scd" | tr -d '*' | sort -u)
    done
    diff <(sed -n 's/^    \(catlatch_[a-z_]*\);$/\1/p' "$root/src/lib/libcatlatch.map" | sort) \
        <(grep -E '^\*catlatch_[a-z_]+\*\(\)$' "$root/etc/man/libcatlatch.3.scd" | tr -d '*()' | sort)
    keys() { awk '/^;?\[/ { section = $1; gsub(/[;\[\]]/, "", section) } /^;[a-z_]+ =/ && section != "service" { print section, substr($1, 2), $3 }' "$1" | sort; }
    documented() { awk '/^# / { section = $2; gsub(/[\[\]]/, "", section) } /^\*[a-z_]+\* =/ && section != "service" { name = $1; gsub(/\*/, "", name); value = $3; gsub(/\\/, "", value); print section, name, value }' "$1" | sort; }
    [ "$(keys "$root/etc/catlatch.ini" | wc -l)" -ge 24 ]
    diff <(keys "$root/etc/catlatch.ini" | sed 's|/var/lib|@|;s|/run|@|;s|/usr/local/lib/catlatch|@|') \
        <(documented "$root/etc/man/catlatch.ini.5.scd" | sed 's|_@LOCALSTATEDIR@/lib/catlatch_|@/catlatch|;s|_@RUNSTATEDIR@\(/[a-z-]*\)_|@\1|;s|_@MODULEDIR@_|@|')
    # Every module has a place in catlatch-modules(7), and what the configuration names is one.
    modules=$(cd "$root/plugin" && ls *.c | sed 's/\.c$//' | sort)
    diff <(echo "$modules") <(sed -n 's/^## \([a-z]*\).*/\1/p' "$root/etc/man/catlatch-modules.7.scd" | sort)
    for module in $(sed -n '/^# \[service/,$s/^#   \([a-z]\{5,\}\)  .*/\1/p;s/^#   environment .*/environment/p' "$root/etc/catlatch.ini"); do
        grep -q "^\*$module\*" "$root/etc/man/catlatch.ini.5.scd" || grep -qx "$module" <<<"$modules"
    done
}

# What bash offers for the last of these words.
bash_offers() {
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _catlatch; printf "%s\n" "${COMPREPLY[@]}"' \
        bash "$dest/share/bash-completion/completions/catlatch" "$@" | sort | paste -sd' '
}

@test "bash completes commands, options and what they take" {
    [ "$(bash_offers catlatch re)" = 'reload restore revoke' ]
    [ "$(bash_offers catlatch owner '')" = 'list resume show suspend update' ]
    [ "$(bash_offers catlatch -c x owner suspend --co)" = '--comment --config' ]
    [ "$(bash_offers catlatch list --state '')" = 'active disabled expired not_yet_valid revoked' ]
    [ "$(bash_offers catlatch list --state = re)" = revoked ]
    [ "$(bash_offers catlatch list --owner create --ex)" = --expiring-within ]
    [ "$(bash_offers catlatch create --name '')" = '' ]
    touch "$dir/some.ini"
    [ "$(bash_offers catlatch --config "$dir/some")" = "$dir/some.ini" ]
}

@test "fish completes commands, options and what they take" {
    command -v fish >/dev/null || skip "fish is not here"
    offers() {
        HOME=$dir fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
            "$dest/share/fish/vendor_completions.d/catlatch.fish" "$1" | cut -f1 | sort | paste -sd' '
    }
    [ "$(offers 'catlatch owner ')" = 'list resume show suspend update' ]
    [ "$(offers 'catlatch rev')" = revoke ]
    [ "$(offers 'catlatch -c x owner suspend --com')" = --comment ]
    [ "$(offers 'catlatch list --state re')" = revoked ]
    [ "$(offers 'catlatch list --owner create --expir')" = --expiring-within ]
}

@test "zsh completes commands, options and what they take" {
    command -v zsh >/dev/null || skip "zsh is not here"
    offers() {
        HOME=$dir zsh -f "$BATS_TEST_DIRNAME/zsh_offers" "$dest/share/zsh/site-functions" "$1" | sort | paste -sd' '
    }
    [ "$(offers 'catlatch owner ')" = 'list resume show suspend update' ]
    [ "$(offers 'catlatch rev')" = revoke ]
    [ "$(offers 'catlatch owner suspend --com')" = --comment ]
    [ "$(offers 'catlatch list --state re')" = revoked ]
    [ "$(offers 'catlatch list --expir')" = --expiring-within ]
}

@test "completions offer what the tool accepts, and the scripts have no error" {
    for shell in bash zsh fish; do
        command -v "$shell" >/dev/null || continue
        "$base/dest/usr/local/bin/catlatch" completion "$shell" >"$dir/script"
        "$shell" -n "$dir/script"
    done
    for word in $(bash_offers catlatch revoke --reason '') $(bash_offers catlatch list --state ''); do
        "$base/dest/usr/local/bin/catlatch" revoke --help | grep -qw -- "$word"
    done
    run "$base/dest/usr/local/bin/catlatch" completion tcsh
    expect_status 64
}
