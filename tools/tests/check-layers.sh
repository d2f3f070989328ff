#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
#
# check-layers accepts a small tree that follows the rules, and finds each
# violation that is then put into it, at its file and line.
#
# usage: check-layers.sh PATH-OF-CHECK-LAYERS
set -eu

tool=$(realpath "$1")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree"
failures=0

fail() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}

# put FILE LINE...: a file with the two SPDX lines; "LINE" is its line 3.
put() {
    file=$1
    shift
    mkdir -p "$(dirname "$file")"
    {
        echo '/* SPDX-License-Identifier: Apache-2.0 */'
        echo '/* SPDX-FileCopyrightText: The molt authors */'
        printf '%s\n' "$@"
    } >"$file"
}

compile() {
    mkdir -p build/src
    gcc -fPIC -c -o "build/src/$1.o" -x c - <<EOF
$2
EOF
    ar rc "build/src/libmolt_$1.a" "build/src/$1.o"
}

# accepts TEXT: nothing is found.
accepts() {
    "$tool" --build build . >out 2>&1 || {
        fail "$1 was refused:"
        cat out
    }
    rm out
}

# finds PATTERN: a line of the report matches, and the tool fails.
finds() {
    if "$tool" --build build . >out 2>&1; then
        fail "passed in spite of: $1"
    elif ! grep -q "$1" out; then
        fail "did not report: $1; but:"
        cat out
    elif [ "$(wc -l <out)" != 2 ]; then
        fail "reported more than: $1:"
        cat out
    fi
    rm out
}

# A tree that follows the rules.
# shellcheck disable=SC1003 # the backslash ends a line of C
put include/molt/molt.h '#ifndef MOLT_MOLT_H' '#define MOLT_MOLT_H' '#ifdef __cplusplus' \
    '#endif' 'typedef void molt_fn(int);' '/* molt_gone() was here */' \
    '#define molt_new(T) molt_block_new( \' '    sizeof(T))' \
    'void *molt_block_new(unsigned long size)' '    __attribute__((malloc));' '#endif'
put src/libmolt.map 'MOLT_1 { global:' '    molt_block_new;' '    molt_world;' \
    '    __wrap_*;' 'local: *; };'
put src/base/buf.h '#ifndef MOLT_BASE_BUF_H' '#define MOLT_BASE_BUF_H' '#include <molt/molt.h>' \
    '#endif'
put src/base/buf.c '#include "base/buf.h"' '#include <stdio.h>'
put src/port/fd.c '#include "base/buf.h"' '#if defined(__x86_64__)' '#endif'
put src/types/dwarf.h '#include "base/buf.h"'
put src/control/wire.h '#include "base/buf.h"'
put src/control/agent/agent.c '#include "control/wire.h"' '#include "types/dwarf.h"'
put modules/http/http.c '#include <molt/molt.h>'
compile base 'int molt_a(void) { return 0; } int __wrap_lock(void) { return 0; }
static int local(void) { return 0; } int molt_b(void) { return local(); }'
accepts 'a tree that follows the rules'

put src/base/up.c '#include "base/buf.h"' '#include "types/dwarf.h"'
finds 'src/base/up.c:4: layer base includes src/types/dwarf.h, which is above it'
rm src/base/up.c

put src/upgrade/parse.c '#include "types/dwarf.h"'
finds 'src/upgrade/parse.c:3: layer upgrade is in the host'
rm src/upgrade/parse.c

put src/control/up.c '#include "control/agent/x.h"'
put src/control/agent/x.h
finds 'src/control/up.c:3: layer control includes src/control/agent/x.h'
rm src/control/up.c

put src/stray/x.c '#include "base/buf.h"'
finds 'src/stray/x.c:3: src/stray is not in the list'
rm -r src/stray

put modules/http/deep.c '#include "base/buf.h"'
finds 'modules/http/deep.c:3: includes src/base/buf.h, which is not public'
rm modules/http/deep.c

put src/code/a.h '#include "code/b.h"'
put src/code/b.h '#include "c.h"'
put src/code/c.h '#include "a.h"'
finds 'include cycle: .*src/code/.*src/code/.*src/code/'
rm -r src/code

put src/base/cond.c '' '#  if __GNUC__ > 4' '#endif'
finds 'src/base/cond.c:4: #if __GNUC__ > 4 belongs into src/port'
rm src/base/cond.c

put src/base/cond.h '#ifndef MOLT_BASE_COND_H' '#ifndef MOLT_OTHER_H' '#endif' '#endif'
finds 'src/base/cond.h:4: #ifndef MOLT_OTHER_H belongs into src/port'
rm src/base/cond.h

put src/base/mark.c '' "/* TO""DO: later */"
finds 'src/base/mark.c:4: mark of unfinished work'
rm src/base/mark.c

mkdir -p tests/unit
echo 'int main(void) { return 0; }' >tests/unit/test_x.c
finds 'tests/unit/test_x.c:1: the two SPDX lines are missing'
rm -r tests

compile port 'int helper(void) { return 0; }'
finds 'libmolt_port.a(port.o): helper does not begin with molt_'
rm build/src/libmolt_port.a

echo 'int molt_later(int x);' >>include/molt/molt.h
finds 'libmolt.map:1: molt_later is public and not listed'
sed -i '$d' include/molt/molt.h

sed -i 's/molt_world;/molt_world; \n molt_old;/' src/libmolt.map
finds 'libmolt.map:1: molt_old is listed and in no public header'
sed -i '/molt_old/d' src/libmolt.map

echo 'int molt_block_new, molt_world, molt_leak, __wrap_sem_wait;' |
    gcc -shared -fPIC -o build/src/libmolt.so -x c -
finds 'libmolt.so: exports molt_leak which'
echo 'int molt_block_new, __wrap_sem_wait;' | gcc -shared -fPIC -o build/src/libmolt.so -x c -
finds 'libmolt.so: lacks molt_world which'
rm build/src/libmolt.so

accepts 'the tree without the violations'
[ $failures = 0 ]
