# apache.bash - Debian's Apache with the module of this build, on a loopback port, under each MPM, and
# keys whose text must not be found in any log.
# Loaded after ../cli/lib, process and web.

apache_modules=/usr/lib/apache2/modules

# Why Apache cannot load the module here; nothing where it can.
apache_missing() {
    local module=$CATLATCH_BUILD/mod_catlatch.so
    [ -x /usr/sbin/apache2 ] && [ -e "$apache_modules/mod_mpm_event.so" ] ||
        echo "apache2 is not here (make deps)"
    command -v curl >/dev/null || echo "curl is not here (make deps)"
    [ -e "$module" ] || echo "the module was not built: apache2-dev is not here (make deps)"
    ! nm -D "$CATLATCH_BUILD/libcatlatch.so" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_' ||
        echo "an Apache that is not sanitized cannot load a sanitized library"
}

need_apache() {
    local missing
    missing=$(apache_missing | head -n 1)
    [ -z "$missing" ] || skip "$missing"
}

# A daemon's folder, with further services on standard input, and what Apache serves. Apache's
# children are never root.
open_apache_folder() {
    open_folder
    mkdir -m 755 "$dir/html" "$dir/cgi"
    echo 'hello' >"$dir/html/hello"
    cat >"$dir/cgi/said" <<'SH'
#!/bin/sh
printf 'Content-Type: text/plain\n\n'
echo "user=${REMOTE_USER-nobody} type=${AUTH_TYPE-none}"
echo "authorization=$HTTP_AUTHORIZATION key=$HTTP_X_API_KEY copy=$COPY owner=$HTTP_X_OWNER"
echo "result=$CATLATCH_RESULT id=$CATLATCH_KEY_ID owner=$CATLATCH_OWNER name=$CATLATCH_KEY_NAME" \
    "environment=$CATLATCH_ENVIRONMENT scopes=$CATLATCH_SCOPES"
SH
    chmod 755 "$dir/cgi/said"
    chmod 644 "$dir/html/hello"
    LD_LIBRARY_PATH=$(realpath "$CATLATCH_BUILD")
    export LD_LIBRARY_PATH
    apache_pid= apache_user=
    if [ "$(id -u)" -eq 0 ]; then
        apache_user=$'User daemon\nGroup daemon'
        set_daemon_key group daemon
    fi
    : >"$dir/keys" >"$dir/error.log" >"$dir/access.log"
}

# No key may be in what was logged, and no child may have come to a bad end but by the test; then the
# folder goes.
close_apache_folder() {
    local leaked= crashed
    stop_apache
    crashed=$(grep -E 'exit signal|exited with|corrupt' "$dir/error.log" | grep -v 'exit signal Killed')
    leaked=$(leaked_keys "$dir/error.log" "$dir/access.log")
    [ -z "${BATS_ERROR_STATUS:-}" ] || [ "${BATS_ERROR_STATUS:-0}" -eq 0 ] ||
        { echo "under $mpm:" && tail -n 20 "$dir/error.log"; }
    remove_folder
    [ -z "$crashed" ] || {
        printf 'a child came to a bad end:\n%s\n' "$crashed"
        return 1
    }
    [ -z "$leaked" ] || {
        printf 'a key is in a log:\n%s\n' "$leaked"
        return 1
    }
}

# The configuration: what is in the server comes on standard input, in which PORT is its port. Behind
# it is another, by its name 127.0.0.1, that says what it was sent.
write_apache() {
    local module
    {
        for module in authn_core authz_core authz_host authz_user authn_file auth_basic dir env setenvif \
            headers rewrite alias cgi proxy proxy_http include remoteip mime http2; do
            echo "LoadModule ${module}_module $apache_modules/mod_$module.so"
        done
        cat <<CONF
LoadModule catlatch_module $(realpath "$CATLATCH_BUILD")/mod_catlatch.so
ServerRoot $dir
ServerName localhost
PidFile $dir/apache.pid
DefaultRuntimeDir $dir
TypesConfig /dev/null
Listen 127.0.0.1:PORT
$apache_user
StartServers 2
MaxRequestWorkers 16
GracefulShutdownTimeout 10
<IfModule mpm_event_module>
    ThreadsPerChild 8
    MinSpareThreads 8
    MaxSpareThreads 16
    Protocols h2c http/1.1
</IfModule>
<IfModule mpm_prefork_module>
    Protocols http/1.1
</IfModule>
ErrorLog $dir/error.log
LogLevel info http2:warn
LogFormat "%m %U %>s result=%{CATLATCH_RESULT}e note=%{CATLATCH_RESULT}n id=%{CATLATCH_KEY_ID}e owner=%{CATLATCH_OWNER}e user=%u request=%L" keys
CustomLog $dir/access.log keys
AccessFileName .none
CatlatchConfig $CATLATCH_CONFIG
DocumentRoot $dir/html
ScriptAlias /said $dir/cgi/said
<VirtualHost 127.0.0.1:PORT>
    ServerName localhost
$(cat)
</VirtualHost>
<VirtualHost 127.0.0.1:PORT>
    ServerName 127.0.0.1
    CustomLog /dev/null keys
    <Location />
        CGIPassAuth on
    </Location>
</VirtualHost>
CONF
    } >"$dir/apache.in"
}

# On a port that was free a moment ago.
place_apache() {
    port=$(python3 -c 'import socket
with socket.socket() as link:
    link.bind(("127.0.0.1", 0))
    print(link.getsockname()[1])')
    { echo "LoadModule mpm_${mpm}_module $apache_modules/mod_mpm_$mpm.so" && cat "$dir/apache.in"; } |
        sed "s/:PORT\b/:$port/g" >"$dir/apache.conf"
}

# In a process group of its own, all of which it ends when it ends.
start_apache() {
    local try
    for try in 1 2 3 4 5; do
        place_apache
        : >"$dir/said"
        setsid /usr/sbin/apache2 -f "$dir/apache.conf" -DFOREGROUND >>"$dir/said" 2>&1 3>&- &
        apache_pid=$!
        until_true apache_settled && kill -0 "$apache_pid" && return 0
        wait "$apache_pid" || true
        grep -q 'could not bind' "$dir/said" "$dir/error.log" || break
    done
    tail -n 5 "$dir/said" "$dir/error.log" >&2
    return 1
}

apache_settled() { # it answers, or it is gone
    fetch /hello || ! kill -0 "$apache_pid"
}

stop_apache() { # [SIGNAL]
    [ -n "$apache_pid" ] || return 0
    kill "-${1:-TERM}" "$apache_pid" 2>/dev/null
    wait "$apache_pid" 2>/dev/null || true
    apache_pid=
}

# Runs this under each MPM, or those of $mpms, with what was written for it.
under_each_mpm() { # COMMAND...
    for mpm in ${mpms:-prefork event}; do
        start_apache
        "$@"
        stop_apache
    done
}

web_address() {
    echo "$port"
}

# One request; what came is in $dir/head and $dir/answer, and the status is printed.
fetch() { # PATH [curl's options]
    local path=$1
    shift
    curl -sS --max-time 20 -D "$dir/head" -o "$dir/answer" -w '%{http_code}\n' "$@" \
        --connect-to "localhost:80:127.0.0.1:$port" "http://localhost$path"
}

# The last answer was granted, and came from where it says what it was sent; this was said.
expect_said() { # STATUS TEXT
    [ "$1" = 200 ] && grep -qF -- "$2" "$dir/answer" || {
        echo "under $mpm: status $1, expected 200 and $2 in"
        cat "$dir/answer"
        return 1
    }
}
