#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
#
# realc [PROGRAM...]: how much of real programs' change follows without a word from
# their authors? Two releases of each program, as Debian 12 and 13 have their sources, are
# compiled as far as needed for their types, and all their structs are compared. Nothing is
# run. Sources and objects stay below build/realc; the results go to
# bench/results/realc.md. Needs the network once.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
tool=${MOLT_BUILD:-$root/build/release}/bench/molt-realc
work=$root/build/realc
programs=${*:-zlib lua5.4 libuv1 sqlite3 nginx redis}
mkdir -p "$work"
cd "$work"

say() {
    echo "realc: $*" >&2
}

die() {
    say "$*"
    exit 1
}

# ---- sources ----------------------------------------------------------------

# The upstream sources of "$2..." in Debian suite $1, unpacked below $1/src. apt has a
# configuration of its own here and knows nothing of the system's, nor the other way round.
fetch() {
    suite=$1
    shift
    mkdir -p "$suite/state/lists/partial" "$suite/cache/archives/partial" "$suite/dl"
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb-src [signed-by=$key] http://deb.debian.org/debian $suite main" >"$suite/sources.list"
    cat >"$suite/apt.conf" <<EOF
Dir::State "$work/$suite/state";
Dir::Cache "$work/$suite/cache";
Dir::Etc::sourcelist "$work/$suite/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
EOF
    [ -s "$suite/updated" ] || {
        APT_CONFIG=$work/$suite/apt.conf apt-get -qq update || die "no sources of $suite"
        date >"$suite/updated"
    }
    for program; do
        [ ! -d "$suite/src/$program" ] || continue
        say "fetching $program of $suite"
        (cd "$suite/dl" && APT_CONFIG=$work/$suite/apt.conf \
            apt-get -qq source --download-only "$program") || die "no source of $program"
        mkdir -p "$suite/src/$program"
        tar -C "$suite/src/$program" --strip-components=1 -xf \
            "$(find "$suite/dl" -name "${program}_*.orig.tar.*" ! -name '*.asc' | head -n 1)"
    done
}

# "1.2.13": what the package in suite $1 calls itself.
version_of() {
    basename "$(find "$1/dl" -name "$2_*.dsc" | head -n 1)" .dsc |
        sed 's/^[^_]*_//; s/-[^-]*$//; s/\.dfsg.*//'
}

# ---- objects ----------------------------------------------------------------

# Compile files "$@" of the current folder with $flags, and link what comes of them to
# $out. Paths of both releases read alike, so that types go by the same keys.
objects() {
    mkdir -p "$out.d"
    list=
    for file; do
        object=$out.d/$(echo "$file" | tr / _).o
        # shellcheck disable=SC2086 # flags are words
        gcc -g -O0 -w -fPIC -ffile-prefix-map="$PWD"=/src $flags -c "$file" -o "$object" \
            2>>"$out.log" || die "$file doesn't compile, see $out.log"
        list="$list $object"
    done
    # shellcheck disable=SC2086
    gcc -shared -Wl,--unresolved-symbols=ignore-all -Wl,-z,muldefs $list -o "$out" \
        2>>"$out.log" || die "$out doesn't link, see $out.log"
}

configured() {
    [ -e .configured ] || "$@" >>"$out.log" 2>&1 </dev/null || die "$* failed, see $out.log"
    touch .configured
}

make_zlib() {
    configured ./configure
    flags=-I.
    objects adler32.c crc32.c deflate.c infback.c inffast.c inflate.c inftrees.c trees.c \
        gzread.c gzwrite.c gzlib.c
}

make_lua5_4() {
    flags="-DLUA_USE_LINUX -Isrc"
    # shellcheck disable=SC2046
    objects $(find src -name 'l*.c' ! -name luac.c | sort)
}

make_libuv1() {
    flags="-D_GNU_SOURCE -Iinclude -Isrc"
    linux=
    for file in linux linux-core linux-inotify epoll linux-syscalls; do
        [ ! -f "src/unix/$file.c" ] || linux="$linux src/unix/$file.c"
    done
    # shellcheck disable=SC2086
    objects src/threadpool.c src/timer.c src/uv-common.c src/inet.c src/strscpy.c src/unix/core.c \
        src/unix/fs.c src/unix/loop.c src/unix/pipe.c src/unix/process.c src/unix/signal.c \
        src/unix/stream.c src/unix/tcp.c src/unix/udp.c src/unix/thread.c src/unix/async.c $linux
}

make_sqlite3() {
    configured sh -c './configure --disable-readline && make sqlite3.c'
    flags="-DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_SESSION \
        -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_GEOPOLY"
    objects sqlite3.c
}

make_nginx() {
    configured ./configure --without-http_rewrite_module --without-http_gzip_module
    flags="-Iobjs -Isrc/core -Isrc/event -Isrc/event/modules -Isrc/os/unix -Isrc/http \
        -Isrc/http/modules -Isrc/http/v2 -Isrc/event/quic -Isrc/http/v3"
    objects src/core/ngx_cycle.c src/core/ngx_connection.c src/core/ngx_resolver.c \
        src/core/ngx_conf_file.c src/event/ngx_event.c src/http/ngx_http.c \
        src/http/ngx_http_request.c src/http/ngx_http_core_module.c src/http/ngx_http_upstream.c \
        src/http/ngx_http_file_cache.c src/http/ngx_http_variables.c \
        src/http/modules/ngx_http_proxy_module.c src/http/modules/ngx_http_fastcgi_module.c
}

make_redis() {
    (cd src && sh ./mkreleasehdr.sh >/dev/null 2>&1) || :
    flags="-std=gnu11 -DHAVE_LIBC_MALLOC -Isrc -Ideps/hiredis -Ideps/lua/src -Ideps/linenoise \
        -Ideps/hdr_histogram -Ideps/fpconv -Ideps/fast_float"
    objects src/server.c src/networking.c src/db.c src/cluster.c src/replication.c src/module.c \
        src/rdb.c src/aof.c src/t_zset.c src/t_stream.c src/quicklist.c src/dict.c src/script.c \
        src/sentinel.c src/acl.c
}

# Program $2 of suite $1 as $1/$2.so.
make_program() {
    out=$work/$1/$2.so
    [ ! -f "$out" ] || return 0
    say "compiling $2 of $1"
    : >"$out.log"
    (cd "$1/src/$2" && "make_$(echo "$2" | tr . _)")
}

# ---- the comparison ---------------------------------------------------------

report() {
    versions=
    for program in $programs; do
        versions="$versions, $program $(version_of bookworm "$program") -> $(version_of trixie \
            "$program")"
    done
    echo "# Real programs' structs

Two releases of each program, as Debian 12 and 13 have their sources, partly compiled; every struct
and union with a name is compared as if it were a module's block. No hints, no MOLT_CHANGE.
\`./dev bench realc\`

Versions: ${versions#, }.
"
    set --
    for program in $programs; do
        set -- "$@" "$program" "bookworm/$program.so" "trixie/$program.so"
    done
    "$tool" /src refusals.txt "$@"
    cat <<'EOF'

"Unchanged" is the type with all that it points to, over any number of pointers; "reach a changed one"
has the same bytes, but something behind its pointers differs, and is converted without a word too. "Need
a hint": each refusal of the type names the MOLT_ line that decides it. "Refused": at least one needs the
author's code. A field that several structs have by value is refused in each of them; the second table
counts it once. CPU ms: reading both files and comparing all types.
EOF
}

# shellcheck disable=SC2086
for suite in bookworm trixie; do
    fetch "$suite" $programs
    for program in $programs; do
        make_program "$suite" "$program"
    done
done
report >realc.md
cat realc.md
[ $# -gt 0 ] || cp realc.md "$root/bench/results/realc.md"
say "all refusals are in $work/refusals.txt"
