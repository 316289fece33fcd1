# php.bash - Debian's php-fpm with the extension of this build, behind nginx, on unix sockets in a
# test's folder.
# Loaded after ../cli/lib, process and nginx.

# The one whose php-config the extension was built with.
php_version() {
    php-config --version | cut -d. -f1-2
}

# Why PHP cannot load the extension here; nothing where it can.
php_missing() {
    command -v php-config >/dev/null || echo "php-config is not here (make deps)"
    [ -e "$CATLATCH_BUILD/php/catlatch.so" ] ||
        echo "the extension was not built: php-dev is not here (make deps)"
    command -v "php$(php_version)" "php-fpm$(php_version)" >/dev/null ||
        echo "php-cli and php-fpm of $(php_version) are not here (make deps)"
    ! built_with asan || echo "PHP loads extensions by RTLD_DEEPBIND, which no sanitizer allows"
}

need_php() {
    local missing
    need_nginx
    missing=$(php_missing 2>/dev/null | head -n 1)
    [ -z "$missing" ] || skip "$missing"
}

# As open_web_folder; scripts are in $dir/html.
open_php_folder() {
    open_web_folder
    fpm_pid= php_options=(-n -d extension="$(realpath "$CATLATCH_BUILD")/php/catlatch.so"
        -d catlatch.config="$CATLATCH_CONFIG")
    : >"$dir/fpm.log"
}

# Nor may a key be in what PHP logged.
close_php_folder() {
    local leaked=
    stop_fpm
    leaked=$(leaked_keys "$dir/fpm.log" | head -n 1)
    [ -z "${BATS_ERROR_STATUS:-}" ] || [ "${BATS_ERROR_STATUS:-0}" -eq 0 ] ||
        tail -n 20 "$dir/fpm.log" | cut -c1-200
    close_web_folder || return 1
    [ -z "$leaked" ] || {
        echo 'a key is in the log of php-fpm'
        return 1
    }
}

# PHP by hand, with the extension.
php_does() { # OPTION...
    "php$(php_version)" "${php_options[@]}" "$@"
}

# The pool: so many children, and further settings of it on standard input.
write_fpm() { # CHILDREN
    cat >"$dir/fpm.conf" <<CONF
[global]
error_log = $dir/fpm.log
daemonize = no
[www]
$([ "$(id -u)" -ne 0 ] || printf 'user = %s\ngroup = %s\n' "$(id -un)" "$(id -gn)")
listen = $dir/php.sock
pm = static
pm.max_children = $1
catch_workers_output = yes
php_admin_flag[display_errors] = off
php_admin_flag[log_errors] = on
php_admin_value[error_log] = $dir/fpm.log
$(cat)
CONF
}

start_fpm() { # as root its children may be root's, for the daemon of a test is
    "php-fpm$(php_version)" -R -F -y "$dir/fpm.conf" "${php_options[@]}" -d zend_extension=opcache \
        -d opcache.enable=1 -d opcache.file_update_protection=0 >>"$dir/said" 2>&1 3>&- &
    fpm_pid=$!
    until_true fpm_settled && kill -0 "$fpm_pid" || {
        tail -n 5 "$dir/said" "$dir/fpm.log" >&2
        return 1
    }
}

fpm_settled() { # it is ready, or it is gone
    grep -qs 'ready to handle connections' "$dir/fpm.log" || ! kill -0 "$fpm_pid"
}

stop_fpm() {
    [ -n "$fpm_pid" ] || return 0
    kill -TERM "$fpm_pid" 2>/dev/null
    wait "$fpm_pid" 2>/dev/null || true
    fpm_pid=
}

# The server's block that hands every script to php-fpm.
php_location() { # [further lines]
    cat <<CONF
        location ~ [.]php\$ {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
            fastcgi_pass unix:$dir/php.sock;
        }
CONF
}

# The daemon, php-fpm with so many children, and nginx in front.
begin_php() { # CHILDREN < the server's block
    write_nginx
    [ -e "$dir/fpm.conf" ] || write_fpm "$1" </dev/null
    launch catlatchd
    start_fpm
    start_nginx
}
