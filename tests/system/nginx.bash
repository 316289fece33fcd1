# nginx.bash - Debian's nginx with the module of this build, on unix sockets in a test's folder, and
# keys whose text must not be found in any log.
# Loaded after ../cli/lib, process and web.

# Why nginx cannot load the module here; nothing where it can.
nginx_missing() {
    local tool module=$CATLATCH_BUILD/ngx_http_catlatch_module.so
    for tool in nginx curl; do
        command -v "$tool" >/dev/null || echo "$tool is not here (make deps)"
    done
    [ -e "$module" ] || echo "the module was not built: nginx-dev is not here (make deps)"
    ! built_with tsan || echo "an nginx that is not sanitized cannot load what watches threads"
}

built_with() { # SANITIZER
    nm -D "$CATLATCH_BUILD/libcatlatch.so" 2>/dev/null | grep -q "__$1_"
}

need_nginx() {
    local missing
    missing=$(nginx_missing | head -n 1)
    [ -z "$missing" ] || skip "$missing"
}

# A daemon's folder, with further services on standard input, and what nginx serves.
open_web_folder() {
    open_folder
    mkdir -m 755 "$dir/html"
    echo 'hello' >"$dir/html/hello"
    LD_LIBRARY_PATH=$(realpath "$CATLATCH_BUILD")
    export LD_LIBRARY_PATH
    nginx_pid= nginx_options=(-e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf")
    : >"$dir/keys" >"$dir/error.log" >"$dir/access.log"
    # nginx itself is as its distribution built it: what a sanitized module needs is loaded before.
    nginx_command=(nginx)
    ! built_with asan || nginx_command=(env "LD_PRELOAD=$(gcc -print-file-name=libasan.so)"
        "ASAN_OPTIONS=detect_leaks=0:log_path=$dir/found" "UBSAN_OPTIONS=log_path=$dir/found" nginx)
}

# No key may be in what was logged, and no sanitizer may have found anything; then the folder goes.
close_web_folder() {
    local leaked= found
    stop_nginx
    found=$(cat "$dir"/found.* 2>/dev/null || true)
    leaked=$(leaked_keys "$dir/error.log" "$dir/access.log")
    [ -z "${BATS_ERROR_STATUS:-}" ] || [ "${BATS_ERROR_STATUS:-0}" -eq 0 ] ||
        tail -n 20 "$dir/error.log"
    remove_folder
    [ -z "$found" ] || {
        echo "$found"
        return 1
    }
    [ -z "$leaked" ] || {
        printf 'a key is in a log:\n%s\n' "$leaked"
        return 1
    }
}

# The configuration: what is in the server's block comes on standard input. `app` is a server
# behind it that says what it was sent.
write_nginx() {
    local user=
    [ "$(id -u)" -ne 0 ] || user="user ${nginx_user:-$(id -un) $(id -gn)};"
    cat >"$dir/nginx.conf" <<CONF
load_module $(realpath "$CATLATCH_BUILD")/ngx_http_catlatch_module.so;
daemon off;
$user
worker_processes 2;
pid $dir/nginx.pid;
error_log $dir/error.log info;
events { worker_connections 256; }
http {
    log_format test '\$request_method \$uri \$status result=\$catlatch_result id=\$catlatch_key_id '
                    'owner=\$catlatch_owner user=\$remote_user';
    access_log $dir/access.log test;
    default_type text/plain;
    client_body_temp_path $dir/client;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    upstream app { server unix:$dir/app.sock; }
    catlatch_config $CATLATCH_CONFIG;
    server {
        listen unix:$dir/web.sock;
        listen unix:$dir/h2.sock http2;
        root $dir/html;
$(cat)
    }
    server {
        listen unix:$dir/app.sock;
        access_log off;
        location / {
            return 200 "authorization=\$http_authorization key=\$http_x_api_key owner=\$http_x_owner\nfirst=\$http_first last=\$http_last\n";
        }
    }
}
CONF
}

# The daemon, and nginx in front of it.
begin() { # < the server's block
    write_nginx
    launch catlatchd
    start_nginx
}

# In the place of the shell: run, or in the background.
nginx_does() { # OPTION...
    exec "${nginx_command[@]}" "${nginx_options[@]}" "$@"
}

start_nginx() {
    nginx_does >>"$dir/said" 2>&1 3>&- &
    nginx_pid=$!
    until_true nginx_settled && kill -0 "$nginx_pid" || {
        tail -n 5 "$dir/said" "$dir/error.log" >&2
        return 1
    }
}

nginx_settled() { # it answers, or it is gone
    fetch /hello || ! kill -0 "$nginx_pid"
}

stop_nginx() { # [SIGNAL]
    [ -n "$nginx_pid" ] || return 0
    kill "-${1:-TERM}" "$nginx_pid" 2>/dev/null
    wait "$nginx_pid" 2>/dev/null || true
    nginx_pid=
}

web_address() {
    echo "$dir/web.sock"
}

# One request; what came is in $dir/head and $dir/answer, and the status is printed.
fetch() { # PATH [curl's options]
    local path=$1
    shift
    curl -sS --max-time 20 --unix-socket "$dir/web.sock" -D "$dir/head" -o "$dir/answer" \
        -w '%{http_code}\n' "$@" "http://localhost$path"
}

# The same by HTTP/2.
fetch2() { # PATH [curl's options]
    local path=$1
    shift
    curl -sS --max-time 20 --unix-socket "$dir/h2.sock" --http2-prior-knowledge -D "$dir/head" \
        -o "$dir/answer" -w '%{http_code}\n' "$@" "http://localhost$path"
}
